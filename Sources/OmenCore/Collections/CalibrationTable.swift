/// How wide the searches of a collection must be, as it was measured, for people to see.
///
/// Recalls are what is found at least: means less two standard errors.
package struct CalibrationTable: Equatable, Sendable {
    /// What searches of one width find.
    package struct Point: Equatable, Sendable {
        /// Width of the search, 1...`Limits.efMax`.
        package var ef: Int
        /// Share of the nearest rows that is found, 0...1.
        package var recall: Float

        package init(ef: Int, recall: Float) {
            self.ef = ef
            self.recall = recall
        }
    }

    /// Nearest rows that each of the curves is about.
    package static let ks = [1, 10, 100]
    /// Most widths of a curve.
    package static let pointCountMax = 64

    /// Whether it was measured with queries that were given, and not with rows of the collection.
    package var isOfSample: Bool
    /// Points by ascending width, one curve for each of `ks`.
    package private(set) var curves: [[Point]]

    /// - Precondition: There is one curve for each of `ks`.
    package init(isOfSample: Bool, curves: [[Point]]) {
        precondition(curves.count == Self.ks.count, "\(curves.count) curves")
        self.isOfSample = isOfSample
        self.curves = curves
    }

    /// The part of the nearest ten that searches of that width find at least.
    ///
    /// - Returns: Nil for narrower searches than were measured; the recall of the widest for wider.
    package func recall(ofTen ef: Int) -> Float? {
        guard let index = Self.ks.firstIndex(of: 10) else { return nil }
        return curves[index].last { $0.ef <= ef }?.recall
    }

    /// The mean of some tables, of all shards of a collection, at the widths that all have.
    ///
    /// - Parameter tables: Nil stands for a shard that was not measured.
    /// - Returns: Nil when one was not measured, or there is none. Of a sample when all are.
    /// - Complexity: O(tables * widths^2).
    package static func mean(of tables: [CalibrationTable?]) -> CalibrationTable? {
        let measured = tables.compactMap(\.self)
        guard let first = measured.first, measured.count == tables.count else { return nil }
        let curves = ks.indices.map { c in
            first.curves[c].compactMap { point -> Point? in
                let recalls = measured.compactMap { table in
                    table.curves[c].first { $0.ef == point.ef }?.recall
                }
                guard recalls.count == measured.count else { return nil }
                return Point(ef: point.ef, recall: recalls.reduce(0, +) / Float(recalls.count))
            }
        }
        return CalibrationTable(isOfSample: measured.allSatisfy(\.isOfSample), curves: curves)
    }
}
