internal import OmenCore

/// How searches of level 0 walk, beyond what a caller asks for.
///
/// Chosen by calibration, for the rows as they are: nobody has to know that data are of a kind on
/// which a plain walk finds little.
struct SearchSettings: Equatable {
    /// Where searches begin.
    var starts = Starts.walk
    /// The width of a walk, as a multiple of the width that was asked for.
    var stretch: Float = 1
    /// A query whose start is farther than this is a stranger; see `VectorIndex.strangeness`.
    var strangerLimit = Float.infinity
    /// A row that is farther from its nearest row than this is a far row; see `noteFarRow`.
    var farLimit = Float.infinity

    /// Recall@10 of the widest searches that were tried, or less where groups are lost.
    var wideRecall: Float = 1

    /// Widths that were asked for from which on a scan may take longer than a walk that misses
    /// rows, and how many times as long.
    static let wideEf = 1000
    static let scanPatience = 4
    /// Widths that are tried, as multiples of the width that was asked for.
    static let stretches: [Float] = [1, 1.25, 1.5]
    /// Recall@10 of the probe width that makes a wider walk needless.
    static let recallEnough: Float = 0.93
    /// What the width of a stranger is multiplied with, besides.
    ///
    /// Its nearest rows are far apart from each other, for graphs link rows with what is near them.
    static let strangerStretch: Float = 2
}

extension SearchSettings {
    /// Five words of an index's state section.
    func encode(into writer: inout ByteWriter) {
        writer.write(UInt32(starts.rawValue))
        writer.write(stretch)
        writer.write(strangerLimit)
        writer.write(farLimit)
        writer.write(wideRecall)
    }

    /// - Throws: `.corrupt` for settings that no calibration chooses.
    init(from reader: inout ByteReader) throws(OmenError) {
        let offset = reader.offset
        let number = try reader.read(UInt32.self)
        stretch = try reader.readFloat()
        strangerLimit = try reader.readFloat()
        farLimit = try reader.readFloat()
        wideRecall = try reader.readFloat()
        guard let starts = UInt8(exactly: number).flatMap(Starts.init(rawValue:)),
            Self.stretches.contains(stretch), !strangerLimit.isNaN, farLimit >= 0, wideRecall >= 0
        else {
            throw OmenError(
                .corrupt,
                "section state, offset \(offset): starts \(number), stretch \(stretch)"
                    + ", limits \(strangerLimit), \(farLimit), recall \(wideRecall)"
            )
        }
        self.starts = starts
    }
}
