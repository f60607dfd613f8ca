import OmenCore
import OmenFormats
import Testing

@Suite struct RecordLinesTests {
    private func read(
        _ text: String
    ) throws -> (records: [LineRecord], vectors: [Float], dim: Int?) {
        try Array(text.utf8).withUnsafeBytes { bytes in
            var lines = try RecordLines(bytes)
            var records: [LineRecord] = []
            var vectors: [UInt8] = []
            while let record = try lines.next(vectors: &vectors) { records.append(record) }
            let survey = try RecordLines(bytes).survey()
            #expect(survey.count == records.count && survey.dim == lines.dim)
            return (records, floats(vectors), lines.dim)
        }
    }

    @Test func readsIdsVectorsAndMetadata() throws {
        let text = """
            {"id": 7, "vector": [1, -2.5, 3e2]}
            {"metadata": {"a": [1, 2.50, "x y"]}, "id": "7", "vector": [0.1, 0, -0]}\r

            { "id" : "\\u00e9\\ud83d\\ude00\\n\\"\\\\" , "metadata":null}
            """
        let (records, vectors, dim) = try read(text)
        #expect(records.map(\.id) == [.number(7), .text("7"), .text("é😀\n\"\\")])
        #expect(records.map(\.hasVector) == [true, true, false])
        #expect(vectors == [1, -2.5, 300, 0.1, 0, -0.0])
        #expect(dim == 3)
        // White space goes, every digit stays.
        #expect(records[1].metadata == Array(#"{"a":[1,2.50,"x y"]}"#.utf8))
        #expect(records[2].metadata == [])
    }

    @Test func spaceInsideStringsStays() throws {
        let text = #"{"metadata": {"a\" b": " \\", "c" : " d"}}"#
        let records = try read(text).records
        #expect(records[0].metadata == Array(#"{"a\" b":" \\","c":" d"}"#.utf8))
    }

    @Test func idsReachTheEndOfTheirRange() throws {
        #expect(try read(#"{"id":18446744073709551615}"#).records[0].id == .number(.max))
        let long = String(repeating: "x", count: 512)
        #expect(try read(#"{"id":"\#(long)"}"#).records[0].id == .text(long))
    }

    @Test(arguments: [
        (#"{"id": -1}"#, "id is -1, expected a text or a whole number"),
        (#"{"id": 1.0}"#, "id is 1.0"), (#"{"id": 1e3}"#, "id is 1e3"),
        (#"{"id": 18446744073709551616}"#, "id is 18446744073709551616"),
        (#"{"id": null}"#, "id is null"), (#"{"id": ""}"#, "text id has 0 bytes"),
        (#"{"id": "\ud800"}"#, "half of a surrogate pair"),
        (#"{"id": "\ud800\u0041"}"#, "half of a surrogate pair"),
        (#"{"id": 1, "id": 2}"#, "\"id\" is there twice"),
        (#"{"vectors": [1]}"#, "unknown key \"vectors\""),
        (#"{"vector": []}"#, "the vector is empty"), (#"{"vector": 1}"#, "an array of numbers"),
        (#"{"vector": [1, "2"]}"#, "expected a value"), (#"{"vector": [1,]}"#, "expected a value"),
        (#"{"vector": [NaN]}"#, "expected a value"), (#"{"vector": [0x10]}"#, "',' or ']'"),
        (#"{"vector": [1e]}"#, "expected a value"), (#"{"vector": [1"#, "',' or ']'"),
        (#"{"vector": [1, 2]}"#, "vector has 2 elements, those before have 1"),
        (#"{"metadata": {"a": 1, "\u0061": 2}}"#, "name \"\\u0061\" twice"),
        (#"{"metadata": {"a": [{"b": 1, "b": 1}]}}"#, "name \"b\" twice"),
        (#"{"metadata": {"a": "\udc00"}}"#, "half of a surrogate pair at offset 20"),
        (#"{"metadata": {"\ud83d": 1}}"#, "half of a surrogate pair"),
        (#"{"metadata": {"a": 1e999}}"#, "beyond 64 bits"),
        (#"{"metadata": {"a": -1e309}}"#, "beyond 64 bits"),
        (#"{"metadata": []}"#, "expected an object"), (#"{"metadata": {]}"#, "expected a name"),
        (#"{"id": 1} x"#, "the end of the line"), (#"[1]"#, "an object"),
        (#"{"id": 1"#, "',' or '}'"),
        (#"{"id" 1}"#, "expected ':'"), (#"{id: 1}"#, "expected a string"),
    ])
    func namesTheLineAndWhatIsWrong(line: String, expected: String) {
        let seen = message { _ = try read("{\"vector\": [1]}\n\n" + line + "\n") }
        #expect(seen.hasPrefix("line 3: ") && seen.contains(expected), "\(seen)")
    }

    @Test func aMarkOfUTF8IsSkippedAndOtherTextIsNamed() throws {
        #expect(try read("\u{FEFF}{\"id\": 1}\r\n\r\n{\"id\": 2}").records.count == 2)
        for text in ["\u{FEFF}{\"id\": 1}", "{\"id\": 1}"] {
            for order in [false, true] {
                let units = Array(text.utf16)
                let bytes = units.flatMap { unit -> [UInt8] in
                    withUnsafeBytes(of: order ? unit.bigEndian : unit.littleEndian) { Array($0) }
                }
                let seen = bytes.withUnsafeBytes { bytes in
                    message { _ = try RecordLines(bytes) }
                }
                #expect(seen.contains("UTF-16"))
                let ids = bytes.withUnsafeBytes { bytes in message { _ = try IDLines.read(bytes) } }
                #expect(ids.contains("UTF-16"))
            }
        }
        let ids = try Array("\u{FEFF}a\n7".utf8).withUnsafeBytes { try IDLines.read($0) }
        #expect(ids == [.text("a"), .number(7)])
    }

    @Test func linesWithAndWithoutIDsAreNamed() throws {
        let text = "\n{\"vector\": [1]}\n{\"vector\": [1]}\n{\"vector\": [1], \"id\": 3}\n"
        let survey = try Array(text.utf8).withUnsafeBytes { try RecordLines($0).survey() }
        #expect(survey.count == 3 && survey.dim == 1)
        let seen = message { try survey.checkNames() }
        #expect(seen.contains("line 4 has an \"id\" and line 2 has none"))
    }

    @Test func numbersTooSmallForSingleFloatsAreNotZero() throws {
        let text = "{\"vector\": [1e-50, -1e-50, 0, -0.0, 0e9, 0.00e-999, 1e-40]}"
        let vectors = try read(text).vectors
        #expect(vectors[0] == .leastNonzeroMagnitude && vectors[1] == -.leastNonzeroMagnitude)
        #expect(vectors[2...5].allSatisfy { $0 == 0 } && vectors[6] > 0)
    }

    @Test func refusesTextThatIsNotUTF8AndDeepNesting() {
        let bad = Array(#"{"id": "a"}"#.utf8).map { $0 == UInt8(ascii: "a") ? 0xFF : $0 }
        let seen = bad.withUnsafeBytes { bytes in
            message {
                var lines = try RecordLines(bytes)
                var vectors: [UInt8] = []
                _ = try lines.next(vectors: &vectors)
            }
        }
        #expect(seen == "line 1: a string is not UTF-8")
        let deep = String(repeating: "[", count: 100_000)
        #expect(
            message { _ = try read(#"{"metadata": "# + deep) }.contains("nested deeper than 32")
        )
        let large = #"{"metadata": {"a": ""# + String(repeating: "x", count: 65_536) + #""}}"#
        #expect(message { _ = try read(large) }.contains("expected at most 65536"))
    }

    @Test func survivesRandomLines() throws {
        let seed = UInt64.random(in: .min ... .max)
        // Printed first: a trap would leave nothing else behind.
        print("survivesRandomLines: seed \(seed)")
        var random = SplitMix64(seed: seed)
        let text =
            #"{"id": "a\u00e9\ud83d\ude00", "vector": [1.5, -2e3], "metadata": {"a": [null]}}"#
        let alphabet = Array(#"{}[]",:\u01eE+-.ntf "#.utf8) + [0, 0x7F, 0xC3, 0xFF]
        var refusedCount = 0
        for _ in 0..<20_000 {
            var mutant = Array(text.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where mutant.count > 1 {
                let place = Int.random(in: 0..<mutant.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: mutant[place] = alphabet.randomElement(using: &random) ?? 0
                case 1: mutant.removeLast(mutant.count - max(place, 1))
                default: mutant.remove(at: place)
                }
            }
            let seen = mutant.withUnsafeBytes { bytes in
                message {
                    var lines = try RecordLines(bytes)
                    var vectors: [UInt8] = []
                    while try lines.next(vectors: &vectors) != nil {}
                }
            }
            if seen != "" { refusedCount += 1 }
            let surveyed = mutant.withUnsafeBytes { bytes in
                message { _ = try RecordLines(bytes).survey() }
            }
            // Whatever the survey finds is found again, in the same words.
            #expect(surveyed == "" || surveyed == seen, "seed \(seed)")
        }
        #expect(refusedCount > 10_000, "seed \(seed): a broken line was accepted too often")
    }
}

@Suite struct TypedTextTests {
    @Test func idsAreReadAsTyped() throws {
        #expect(try RecordID(typed: "7") == .number(7))
        #expect(try RecordID(typed: "0") == .number(0))
        #expect(try RecordID(typed: "\"7\"") == .text("7"))
        #expect(try RecordID(typed: "007") == .text("007"))
        #expect(try RecordID(typed: "18446744073709551616") == .text("18446744073709551616"))
        #expect(try RecordID(typed: "-1") == .text("-1"))
        #expect(message { _ = try RecordID(typed: "") }.contains("0 bytes"))
        for id in [RecordID.number(7), .text("7"), .text("a b"), .text("\"a\""), .text("007")] {
            #expect(try RecordID(typed: id.typedText) == id)
        }
    }

    @Test func idFilesAreReadLineByLine() throws {
        let ids = try Array("a\r\n7\nlast".utf8).withUnsafeBytes { try IDLines.read($0) }
        #expect(ids == [.text("a"), .number(7), .text("last")])
        let seen = Array("a\n\nb\n".utf8).withUnsafeBytes { bytes in
            message { _ = try IDLines.read(bytes) }
        }
        #expect(seen == "line 2: text id has 0 bytes, expected 1...512")
    }

    @Test func vectorsAndObjectsAreReadFromArguments() throws {
        #expect(floats(try JSONValue.vector(text: " [0.5, 1,-2e-3 ] ")) == [0.5, 1, -2e-3])
        for text in ["", "[", "[1", "[1] 2", "1", "[]", "[1,]", "[\"a\"]", "[1e999"] {
            #expect(message { _ = try JSONValue.vector(text: text) } != "", "\(text)")
        }
        #expect(try JSONValue.object(text: " {\"a\": 1} ") == Array("{\"a\":1}".utf8))
        for text in ["", "[]", "{", "{} {}", "{\"a\"}", "nul"] {
            #expect(message { _ = try JSONValue.object(text: text) } != "", "\(text)")
        }
    }
}
