internal import OmenCore

/// The JSON text of `omendb_info`; names of collections need no escapes.
func infoText(_ collections: [CollectionStatus], residentByteCount: Int) -> String {
    let parts = collections.map { collection in
        let schema = collection.schema
        let building = collection.building.map { "\(Double($0) / 1000)" } ?? "null"
        return """
            "\(collection.name)": {"vectors": \(collection.vectors), \
            "linked": \(collection.linked), "rows": \(collection.rows), \
            "deleted": \(collection.deleted), "file_bytes": \(collection.fileByteCount), \
            "building": \(building), "build_bytes": \(collection.buildByteCount), \
            "build_waits": \(collection.waitsForMemory), \
            "calibration": \(text(collection.calibration)), \
            "searches": \(text(collection.searches)), "dim": \(schema.dim), "metric": "\(schema.metric)", \
            "element": "\(schema.element)", "codes": "\(schema.codes)", "m": \(schema.m), \
            "ef_construction": \(schema.efConstruction)}
            """
    }
    let all = parts.joined(separator: ", ")
    return "{\"collections\": {\(all)}, \"resident_bytes\": \(residentByteCount)}"
}

/// `null`, or what was measured: `{"queries": ..., "k": {"1": [[ef, recall], ...], ...}}`.
private func text(_ table: CalibrationTable?) -> String {
    guard let table else { return "null" }
    let curves = zip(CalibrationTable.ks, table.curves).map { k, curve in
        let points = curve.map { "[\($0.ef), \($0.recall)]" }
        return "\"\(k)\": [\(points.joined(separator: ", "))]"
    }
    let queries = table.isOfSample ? "sample" : "rows"
    return "{\"queries\": \"\(queries)\", \"k\": {\(curves.joined(separator: ", "))}}"
}

private func text(_ counts: SearchCounts?) -> String {
    guard let counts else { return "null" }
    return """
        {"queries": \(counts.queries), "scans": \(counts.scans), \
        "distances": \(counts.distances)}
        """
}
