internal import Glibc

let usage = """
    omen-bench index --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes f32|u8|u4|u1] [--m 16] [--ef-construction N]
        [--efs 10,16,...] [--k 10] [--repeats 5] [--build bulk|stream] [--threads 1]
        [--processes 1]
        [--save FILE] [--load FILE]

    Builds one index, vector by vector on one thread or (bulk) all at once on --threads of them, then
    searches it; prints JSON. With --processes the finished index is also searched by so many processes at once.
    --save keeps the index for --load, which searches it without building.

    omen-bench stream --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes f32|u8|u4|u1] [--m 16] [--ef-construction N]
        [--efs 32,64,128] [--rounds 0] [--chunk 256] [--hot 4096] [--steps 64]

    Appends chunks and links them in slices while more than --hot rows wait, then replaces every row
    --rounds times; prints JSON.

    omen-bench embedded --base X.npy --queries Y.npy [--efs 16,128] [--k 10] [--repeats 5]

    Adds everything to a database in memory, then searches it one by one and all at once; prints
    JSON.

    omen-bench kernels [--dims 128,256,...] [--repeats N] [--variant 0]
        [--block-bytes 24576]

    Nanoseconds per distance to rows of one block; variant 0 is the fastest; prints JSON.

    omen-bench metadata [--rows 1000000] [--repeats 20]

    Builds the catalog of metadata with five typical fields, and looks rows up in it; prints JSON.

    omen-bench filters [--count 5000] [--repeats 101]

    Nanoseconds that a filter takes for a record, whose metadata it reads; prints JSON.

    omen-bench cluster --socket DATA/omen.sock --queries Y.npy --neighbors Z.npy
        [--clients 1] [--ef N] [--k 10] [--batch 1] [--seconds 2] [--collection default]

    Searches a running cluster, each client one request of --batch queries at a time; prints JSON.
    Ids must be the rows of the vectors that --neighbors names.
    """

do {
    let options = try Options(CommandLine.arguments.dropFirst(2))
    switch CommandLine.arguments.dropFirst().first {
    case "index":
        var benchmark = try IndexBenchmark(options)
        print(try benchmark.run())
    case "stream": print(try StreamBenchmark(options).run())
    case "embedded": print(try EmbeddedBenchmark(options).run())
    case "kernels": print(try KernelBenchmark(options).run())
    case "metadata": print(try MetadataBenchmark(options).run())
    case "filters": print(try FilterBenchmark(options).run())
    case "cluster": print(try ClusterLoad(options).run())
    default: throw Failure(usage)
    }
} catch {
    tell("\(error)")
    exit(1)
}
