internal import Glibc

let usage = """
    omen-bench index --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes f32|u8|u4|u1] [--m 16] [--ef-construction N]
        [--efs 10,16,...] [--k 10] [--repeats 5] [--bulk]
    omen-bench kernels [--dims 128,256,...] [--repeats N] [--variant 0]

    index: builds one index on one thread, vector by vector or (--bulk) all at once, then searches
    it; prints JSON.
    kernels: nanoseconds per distance, rows in cache; variant 0 is the fastest; prints JSON.
    """

do {
    let options = try Options(CommandLine.arguments.dropFirst(2))
    switch CommandLine.arguments.dropFirst().first {
    case "index":
        var benchmark = try IndexBenchmark(options)
        print(try benchmark.run())
    case "kernels": print(try KernelBenchmark(options).run())
    default: throw Failure(usage)
    }
} catch {
    var text = "\(error)\n"
    _ = text.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
}
