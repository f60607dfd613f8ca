package import OmenCore

/// What the receiver of one connection demands of the frames that come.
package struct FrameRules: Equatable, Sendable {
    /// What frames have to be about.
    package private(set) var scope: FrameScope
    /// Whether a frame may leave the cluster out.
    private let mayOmitCluster: Bool
    /// Whether a body without a checksum is refused.
    let requiresBodyChecksum: Bool

    /// What a coordinator demands of a client: it may not know the cluster, and need not compute
    /// the checksum of bodies.
    ///
    /// - Parameter cluster: The coordinator's cluster.
    /// - Returns: Rules for one client's connection.
    package static func fromClient(of cluster: ClusterUUID) -> FrameRules {
        FrameRules(
            scope: .clients(of: cluster),
            mayOmitCluster: true,
            requiresBodyChecksum: false
        )
    }

    /// What a client demands of a coordinator: always the same cluster.
    ///
    /// - Parameter cluster: The cluster as far as it is known; `.unknown`: that of the first frame.
    /// - Returns: Rules for one connection.
    package static func fromCoordinator(of cluster: ClusterUUID = .unknown) -> FrameRules {
        FrameRules(
            scope: .clients(of: cluster),
            mayOmitCluster: false,
            requiresBodyChecksum: false
        )
    }

    /// What a coordinator and a worker demand of each other.
    ///
    /// - Parameter scope: Their cluster, shard and epoch.
    /// - Returns: Rules for both ends of their connection.
    package static func between(_ scope: FrameScope) -> FrameRules {
        FrameRules(scope: scope, mayOmitCluster: false, requiresBodyChecksum: true)
    }

    /// Makes sure that a frame belongs on this connection, and learns the cluster from the first.
    ///
    /// - Parameter header: The frame's header.
    /// - Throws: `.protocolViolation`, naming what was expected and what was seen.
    mutating func check(_ header: FrameHeader) throws(OmenError) {
        var expected = scope
        if expected.cluster == .unknown { expected.cluster = header.scope.cluster }
        var seen = header.scope
        if mayOmitCluster, seen.cluster == .unknown { seen.cluster = expected.cluster }
        try seen.check(expected)
        scope = expected
    }

    /// Makes sure that a body arrived unchanged.
    ///
    /// - Parameters:
    ///   - body: The body.
    ///   - header: Its header.
    /// - Throws: `.protocolViolation` when the checksum is wrong, or missing where it must not be.
    func check(body: UnsafeRawBufferPointer, of header: FrameHeader) throws(OmenError) {
        guard header.bodyChecksum != 0 || requiresBodyChecksum else { return }
        let checksum = crc32c(body)
        guard header.bodyChecksum == checksum else {
            throw OmenError(
                .protocolViolation,
                "frame body checksum is \(header.bodyChecksum), expected \(checksum)"
            )
        }
    }
}
