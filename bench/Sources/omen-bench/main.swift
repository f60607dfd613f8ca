internal import Glibc

let usage = """
    omen-bench index --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes u8|f32] [--m 16] [--ef-construction N]
        [--efs 10,16,...] [--k 10] [--repeats 5] [--bulk]

    Builds one index on one thread, vector by vector or (--bulk) all at once, then searches it;
    prints JSON.

    omen-bench stream --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes u8|f32] [--m 16] [--ef-construction N]
        [--efs 32,64,128] [--rounds 0] [--chunk 256] [--hot 4096] [--steps 64]

    Appends chunks and links them in slices while more than --hot rows wait, then replaces every row
    --rounds times; prints JSON.
    """

do {
    guard CommandLine.arguments.count > 1 else { throw Failure(usage) }
    let options = try Options(CommandLine.arguments.dropFirst(2))
    switch CommandLine.arguments[1] {
    case "index":
        var benchmark = try IndexBenchmark(options)
        print(try benchmark.run())
    case "stream": print(try StreamBenchmark(options).run())
    default: throw Failure(usage)
    }
} catch {
    var text = "\(error)\n"
    _ = text.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
}
