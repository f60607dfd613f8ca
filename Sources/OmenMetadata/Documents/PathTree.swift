internal import OmenCore

/// The paths that were seen so far, as a tree of names.
struct PathTree {
    /// What becomes of a value at a place of a document.
    enum Place {
        /// It belongs to a path that may be indexed, by its number.
        case indexed(Int)
        /// Nothing in it is indexed.
        case unindexed
    }

    private struct Node {
        var names: [FilterText]
        /// The number of the path; nil for the document, and for paths that are not indexed.
        var path: Int?
        /// Hashes of the names of the children, and their nodes.
        var hashes: [UInt64] = []
        var children: [Int] = []
    }

    /// Node 0 is the whole document.
    private var nodes = [Node(names: [])]
    /// The node of each path that may be indexed.
    private var paths: [Int] = []
    private(set) var unindexed = UnindexedPaths()

    /// Paths that may be indexed.
    var count: Int { paths.count }

    /// How a path is written.
    ///
    /// - Parameter path: A path's number.
    /// - Returns: Its UTF-8.
    func name(_ path: Int) -> [UInt8] { Self.written(nodes[paths[path]].names) }

    private static func written(_ names: [FilterText]) -> [UInt8] {
        Array(FilterPath(names: names).description.utf8)
    }

    /// Finds a member of an object.
    ///
    /// - Parameters:
    ///   - name: The member's name, as UTF-8.
    ///   - parent: The path of the object; nil for the document.
    ///   - hint: Which member of the object was found last, and after this call, which one this is:
    ///     most documents have their members in the same order.
    /// - Returns: The place of its value.
    mutating func child(
        _ name: UnsafeRawBufferPointer,
        of parent: Int?,
        _ hint: inout Int
    ) -> Place {
        let node = parent.map { paths[$0] } ?? 0
        if hint < nodes[node].children.count {
            let child = nodes[node].children[hint]
            if isNamed(child, name) {
                hint += 1
                return place(child)
            }
        }
        let hash = hashID(isText: true, bytes: name)
        for (index, other) in nodes[node].hashes.enumerated() where other == hash {
            let child = nodes[node].children[index]
            guard isNamed(child, name) else { continue }
            hint = index + 1
            return place(child)
        }
        return add(name, hash, to: node)
    }

    private func isNamed(_ node: Int, _ name: UnsafeRawBufferPointer) -> Bool {
        nodes[node].names[nodes[node].names.count - 1].isEqual(name)
    }

    private func place(_ node: Int) -> Place { nodes[node].path.map(Place.indexed) ?? .unindexed }

    private mutating func add(
        _ name: UnsafeRawBufferPointer,
        _ hash: UInt64,
        to node: Int
    ) -> Place {
        let hasRoom =
            count < MetadataLimits.pathCandidateCountMax
            && nodes[node].names.count < MetadataLimits.depthMax
        // Names that are values come by the thousand, and long ones would be copied only to be left
        // out: they are counted as further ones.
        if !hasRoom, unindexed.isPartial { return .unindexed }
        guard name.count <= MetadataLimits.pathByteCountMax else {
            unindexed.setPartial()
            return .unindexed
        }
        let names = nodes[node].names + [FilterText(Array(name))]
        let written = Self.written(names)
        var child = Node(names: names)
        if hasRoom, written.count <= MetadataLimits.pathByteCountMax {
            child.path = count
            paths.append(nodes.count)
        } else {
            unindexed.insert(written)
            // So nodes are as many as there are names of either kind.
            if unindexed.isPartial { return .unindexed }
        }
        nodes.append(child)
        nodes[node].hashes.append(hash)
        nodes[node].children.append(nodes.count - 1)
        return place(nodes.count - 1)
    }
}

extension FilterText {
    fileprivate func isEqual(_ bytes: UnsafeRawBufferPointer) -> Bool {
        utf8.count == bytes.count && utf8.withUnsafeBytes { $0.elementsEqual(bytes) }
    }
}
