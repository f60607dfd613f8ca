// swift-tools-version: 6.2
import PackageDescription

// One set of settings for every Swift target: Swift 6 concurrency checks, explicit existentials,
// imports that do not leak, and no warning left standing.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// A Swift target of ours; the dependency list is the module's allowed imports, and
/// `scripts/check` fails on any other.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "omendb",
    products: [
        .executable(name: "omen-cluster", targets: ["omen-cluster"]),
        // What Python and C load; the header is Sources/C/COmenDB/omendb.h.
        .library(name: "OmenDB", type: .dynamic, targets: ["OmenABI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CUV",
            path: "Sources/C/CUV",
            pkgConfig: "libuv",
            providers: [.apt(["libuv1-dev"])]
        ),
        .systemLibrary(
            name: "CXXHash",
            path: "Sources/C/CXXHash",
            pkgConfig: "libxxhash",
            providers: [.apt(["libxxhash-dev"])]
        ),
        .systemLibrary(
            name: "CISAL",
            path: "Sources/C/CISAL",
            pkgConfig: "libisal",
            providers: [.apt(["libisal-dev"])]
        ),
        .systemLibrary(
            name: "CRoaring",
            path: "Sources/C/CRoaring",
            providers: [.apt(["libroaring-dev"])]
        ),
        .systemLibrary(name: "CMalloc", path: "Sources/C/CMalloc"),
        .systemLibrary(name: "COmenDB", path: "Sources/C/COmenDB"),
        .target(name: "COmenFrame", path: "Sources/C/COmenFrame"),
        .target(name: "COmenKernels", path: "Sources/C/COmenKernels"),
        module("OmenCore", ["CXXHash", "CISAL"]),
        module("OmenSystem", ["OmenCore", "CMalloc"]),
        module("OmenIndex", ["OmenCore", "OmenSystem", "COmenKernels"]),
        module("OmenStorage", ["OmenCore", "OmenSystem"]),
        module("OmenMetadata", ["OmenCore", "CRoaring"]),
        module("OmenShard", ["OmenCore", "OmenSystem", "OmenIndex", "OmenStorage"]),
        module("OmenWire", ["OmenCore", "COmenFrame"]),
        module("OmenLoop", ["OmenCore", "OmenSystem", "CUV"]),
        module("OmenWorker", ["OmenCore", "OmenSystem", "OmenShard", "OmenWire", "OmenLoop"]),
        module("OmenCoordinator", ["OmenCore", "OmenSystem", "OmenWire", "OmenLoop"]),
        module("OmenClient", ["OmenCore", "OmenSystem", "OmenWire"]),
        module("OmenFormats", ["OmenCore"]),
        module("OmenEmbedded", ["OmenCore", "OmenSystem", "OmenShard", "OmenStorage"]),
        module(
            "OmenABI",
            [
                "COmenDB", "OmenCore", "OmenSystem", "OmenClient", "OmenEmbedded", "OmenShard",
                "OmenWire",
            ]
        ),
        .executableTarget(
            name: "omen-cluster",
            dependencies: [
                "OmenCore", "OmenSystem", "OmenStorage", "OmenShard", "OmenWire", "OmenWorker",
                "OmenCoordinator",
                "OmenClient",
                "OmenFormats",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "omen-bench",
            dependencies: [
                "OmenCore", "OmenSystem", "OmenEmbedded", "OmenIndex", "OmenMetadata", "OmenWire",
                "COmenKernels",
            ],
            path: "bench/Sources/omen-bench",
            swiftSettings: settings
        ),
        tests("OmenCoreTests", ["OmenCore"]),
        tests("OmenSystemTests", ["OmenCore", "OmenSystem"]),
        // A stand-in for the worker: what the coordinator's tests let it start.
        .executableTarget(
            name: "FakeWorker",
            dependencies: ["OmenCore", "OmenWire", "OmenCoordinator"],
            swiftSettings: settings
        ),
        tests(
            "OmenCoordinatorTests",
            ["OmenCoordinator", "OmenCore", "OmenSystem", "OmenWire", "FakeWorker"]
        ),
        tests("OmenWireTests", ["OmenCore", "OmenWire", "COmenFrame"]),
        tests("OmenLoopTests", ["OmenCore", "OmenLoop"]),
        tests(
            "OmenShardTests",
            [
                "OmenCore", "OmenSystem", "OmenIndex", "OmenStorage", "OmenShard",
                "StorageTestSupport",
            ]
        ),
        tests(
            "OmenWorkerTests",
            [
                "OmenCore", "OmenSystem", "OmenLoop", "OmenShard", "OmenStorage", "OmenWire",
                "OmenWorker",
            ]
        ),
        tests("OmenClientTests", ["OmenClient", "OmenCore", "OmenSystem", "OmenWire"]),
        tests("OmenFormatsTests", ["OmenCore", "OmenFormats"]),
        tests(
            "OmenEmbeddedTests",
            ["OmenCore", "OmenSystem", "OmenEmbedded", "OmenShard", "OmenStorage"]
        ),
        tests("OmenMetadataTests", ["OmenCore", "OmenMetadata"]),
        tests("OmenStorageTests", ["OmenStorage", "OmenCore", "OmenSystem", "StorageTestSupport"]),
        tests(
            "SimulationTests",
            [
                "OmenCore", "OmenSystem", "OmenStorage", "OmenShard", "OmenWire",
                "OmenCoordinator", "StorageTestSupport",
            ]
        ),
        .target(
            name: "StorageTestSupport",
            dependencies: ["OmenCore", "OmenStorage"],
            path: "Tests/StorageTestSupport",
            swiftSettings: settings
        ),
        tests("OmenIndexTests", ["OmenCore", "OmenSystem", "OmenIndex", "COmenKernels"]),
    ]
)
