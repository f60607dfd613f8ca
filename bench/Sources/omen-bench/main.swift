internal import Glibc

let usage = """
    omen-bench index --base X.npy --queries Y.npy --neighbors Z.npy
        [--metric l2|cosine|ip] [--codes u8|f32] [--m 16] [--ef-construction N]
        [--efs 10,16,...] [--k 10] [--repeats 5] [--bulk]
        [--save FILE] [--load FILE]

    Builds one index on one thread, vector by vector or (--bulk) all at once, then searches it;
    prints JSON. --save keeps the index for --load, which searches it without building.
    """

do {
    guard CommandLine.arguments.count > 1, CommandLine.arguments[1] == "index" else {
        throw Failure(usage)
    }
    var benchmark = try IndexBenchmark(Options(CommandLine.arguments.dropFirst(2)))
    print(try benchmark.run())
} catch {
    var text = "\(error)\n"
    _ = text.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
}
