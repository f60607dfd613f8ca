import OmenCore
import Testing

@Suite struct EndpointTests {
    @Test func addressesThatTheSystemCannotTakeAreRefused() throws {
        try Endpoint.unix(path: "x").validate()
        try Endpoint.unix(path: String(repeating: "x", count: 107)).validate()
        for path in ["", String(repeating: "x", count: 108), "a\0b"] {
            let endpoint = Endpoint.unix(path: path)
            let error = #expect(throws: OmenError.self) { try endpoint.validate() }
            #expect(error?.code == .badRequest)
            #expect(error?.message.contains("\(path.utf8.count) bytes") == true)
        }
    }

    @Test func anAddressIsShownAsUsersWriteIt() {
        #expect("\(Endpoint.unix(path: "/data/omen.sock"))" == "/data/omen.sock")
    }
}
