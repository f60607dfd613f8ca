/// Where in the metadata a condition looks: the names of objects within objects.
///
/// Written `author.name`. A dot that belongs to a name is written `\.`, a backslash `\\`, and a
/// name that begins with a dollar `\$`, for `$` begins operators. Lists on the way are looked
/// through: the path leads to a value in each object of the list. There are no numbers of elements.
package struct FilterPath: Hashable, Sendable {
    /// At least one, and that of the outermost object first; a name may be empty.
    package let names: [FilterText]

    /// - Precondition: There is a name, and there are at most `Limits.jsonDepthMax`.
    package init(names: [FilterText]) {
        precondition((1...Limits.jsonDepthMax).contains(names.count), "\(names.count) names")
        self.names = names
    }

    /// Reads a path as it is written.
    ///
    /// - Parameter text: UTF-8.
    /// - Throws: `.badRequest` that says what is wrong with it; not where it stands.
    package init(_ text: [UInt8]) throws(OmenError) {
        var names: [FilterText] = []
        var name: [UInt8] = []
        var isEscaped = false
        for (index, byte) in text.enumerated() {
            if isEscaped {
                guard #".\$"#.utf8.contains(byte) else {
                    throw OmenError(
                        .badRequest,
                        #"has a backslash before byte \#(byte), expected \., \\ or \$"#
                    )
                }
                name.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: ".") {
                names.append(FilterText(name))
                name = []
            } else {
                guard index > 0 || byte != UInt8(ascii: "$") else {
                    throw OmenError(.badRequest, #"begins with $, expected \$ for such a name"#)
                }
                name.append(byte)
            }
        }
        guard !isEscaped else { throw OmenError(.badRequest, "ends with a backslash") }
        names.append(FilterText(name))
        try self.init(checking: names)
    }

    /// - Throws: `.badRequest` if there are more names than metadata is deep.
    package init(checking names: [FilterText]) throws(OmenError) {
        guard names.count <= Limits.jsonDepthMax else {
            throw OmenError(
                .badRequest,
                "has \(names.count) names, expected at most \(Limits.jsonDepthMax)"
            )
        }
        self.init(names: names)
    }
}

extension FilterPath: CustomStringConvertible {
    /// The path as it is written, from which the same path is read.
    package var description: String {
        var utf8: [UInt8] = []
        for (index, name) in names.enumerated() {
            if index > 0 { utf8.append(UInt8(ascii: ".")) }
            if index == 0, name.utf8.first == UInt8(ascii: "$") { utf8.append(UInt8(ascii: "\\")) }
            for byte in name.utf8 {
                if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "\\") {
                    utf8.append(UInt8(ascii: "\\"))
                }
                utf8.append(byte)
            }
        }
        return String(decoding: utf8, as: UTF8.self)
    }
}
