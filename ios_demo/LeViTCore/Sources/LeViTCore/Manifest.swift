/// `manifest.json` of a bundle, as far as an app needs it; docs/bundle.md tells all of it.
public struct Manifest: Decodable, Equatable, Sendable {
  /// The only format that this version reads.
  public static let format = 1

  public let format: Int
  public let model: Model
  public let artifact: Artifact
  public let input: TensorPort
  public let output: TensorPort
  public let preprocessing: Preprocessing
  public let labels: [String]
  public let accuracy: JSONValue?
  public let parity: JSONValue?
  public let files: [String: File]

  public struct Model: Decodable, Equatable, Sendable {
    public let variant: String
    public let classes: Int

    enum CodingKeys: String, CodingKey {
      case variant
      case classes = "num_classes"
    }
  }

  public struct Artifact: Decodable, Equatable, Sendable {
    /// Relative to the bundle's folder; Core ML's is a folder itself.
    public let file: String
    public let target: String
    public let precision: String
    public let options: [String: String]?

    /// Methods of a `.pte` that take a picture and give logits, the one to try first in front: `forward_float16` is faster
    /// and wants half-precision arithmetic, which every iPhone since the A11 has. A simulator on Intel has not.
    public var methods: [String] { (methodsAsExported ?? ["forward"]).reversed() }

    private let methodsAsExported: [String]?

    enum CodingKeys: String, CodingKey {
      case file, target, precision, options
      case methodsAsExported = "methods"
    }
  }

  public struct File: Decodable, Equatable, Sendable {
    public let bytes: Int
    public let sha256: String
  }
}

/// An artifact's input or output.
public struct TensorPort: Decodable, Equatable, Sendable {
  public enum Number: String, Decodable, Sendable {
    case float32, int8, uint8
  }

  public enum Layout: String, Decodable, Sendable {
    case nchw, nhwc
  }

  public enum Takes: String, Decodable, Sendable {
    case normalisedPixels = "normalised pixels"
    case pixels
  }

  public let name: String
  public let shape: [Int]
  public let dtype: Number
  /// Of an input.
  public let layout: Layout?
  /// Of an input.
  public let takes: Takes?
  /// Where the numbers are whole and stand for others: value = scale * (number - zero point).
  public let scale: Double?
  public let zeroPoint: Int?

  enum CodingKeys: String, CodingKey {
    case name, shape, dtype, layout, takes, scale
    case zeroPoint = "zero_point"
  }
}

extension Manifest {
  /// The labels, and the number of the class behind those that occur twice (ImageNet has two cranes): what a Core ML
  /// package calls its classes.
  public var classNames: [String] {
    var names = labels
    while true {
      let often = Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +)
      if often.count == names.count { return names }
      // A name that was made up may be there already.
      names = names.enumerated().map { often[$1] == 1 ? $1 : "\($1) (\($0))" }
    }
  }
}
