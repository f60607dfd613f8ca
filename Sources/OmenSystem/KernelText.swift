internal import Glibc

/// Small files in which the kernel tells about the system.
package enum KernelText {
    /// The number behind a name at the start of a line, with or without a colon.
    package static func field(_ name: String, of text: String) -> Int? {
        word(name, of: text).flatMap { Int($0) }
    }

    /// The word behind a name at the start of a line, with or without a colon.
    package static func word(_ name: String, of text: String) -> Substring? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            if words.count > 1, words[0] == name { return words[1] }
        }
        return nil
    }

    /// The text of one; nil when there is none.
    package static func of(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        // Systems with many containers have thousands of mounts.
        while text.count < byteCountMax {
            let count = fread(&bytes, 1, bytes.count, file)
            if count == 0 { break }
            text += bytes[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static let byteCountMax = 4 << 20
}
