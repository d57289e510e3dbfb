// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "LeViTCore",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [
    .library(name: "LeViTCore", targets: ["LeViTCore"])
  ],
  targets: [
    .target(name: "LeViTCore"),
    .testTarget(name: "LeViTCoreTests", dependencies: ["LeViTCore"], resources: [.copy("Fixtures")]),
  ]
)
