/// How far an artifact is from PyTorch on the golden inputs: the gate that it passed at export, gone through again here.
public struct Parity: Equatable, Sendable {
  /// Greatest difference of a logit, as a share of the reference's range.
  public let maxAbs: Double
  /// Mean cosine between the logits, each with its mean taken off.
  public let cosine: Double
  /// Share of pictures with the same first class.
  public let agreement: Double
  public let samples: Int
  public let passed: Bool

  /// The table of docs/bundle.md. A class counts as the same if PyTorch holds it within `maxAbs` of its own first.
  private static let tolerances: [String: (maxAbs: Double, cosine: Double)] = [
    "fp32": (1e-4, 0.999999),
    "fp16": (1e-2, 0.9999),
    "int8-weights": (5e-2, 0.99),
    "int8": (0.15, 0.98),
    "int8-dynamic": (0.15, 0.98),
    "palettised-4bit": (0.15, 0.98),
  ]

  /// - Parameters:
  ///   - reference: PyTorch's logits, a row a picture.
  ///   - answers: the artifact's, as many.
  ///   - manifest: its precision decides how close they must be.
  public init(of answers: [[Float]], beside reference: [[Float]], _ manifest: Manifest) {
    // Whole numbers at the output are int8's business, whatever is inside. An unknown precision is held to float's row.
    let row = manifest.output.dtype == .float32 ? manifest.artifact.precision : "int8"
    self.init(of: answers, beside: reference, tolerance: Self.tolerances[row] ?? (1e-4, 0.999999))
  }

  init(of answers: [[Float]], beside reference: [[Float]], tolerance: (maxAbs: Double, cosine: Double)) {
    samples = answers.count
    let isWhole =
      !answers.isEmpty && answers.map(\.count) == reference.map(\.count)
      && (answers + reference).allSatisfy { $0.allSatisfy(\.isFinite) }
    guard isWhole else {
      (maxAbs, cosine, agreement, passed) = (.infinity, 0, 0, false)
      return
    }
    let wanted = reference.map { $0.map(Double.init) }
    let found = answers.map { $0.map(Double.init) }
    let all = wanted.flatMap { $0 }
    let span = Swift.max((all.max() ?? 0) - (all.min() ?? 0), 1e-12)
    let largest = all.map(abs).max() ?? 0
    let pairs = Array(zip(wanted, found))
    let greatest = pairs.flatMap { zip($0, $1).map { abs($0 - $1) } }.max() ?? 0
    // How far the artifact's first class is behind the reference's.
    let short = pairs.map { wanted, found in
      (wanted.max() ?? 0) - wanted[found.indices.max { (found[$0], -$0) < (found[$1], -$1) } ?? 0]
    }
    maxAbs = greatest / span
    cosine = pairs.map { Self.cosine($0, $1, largest: largest) }.reduce(0, +) / Double(pairs.count)
    agreement = Double(short.filter { $0 == 0 }.count) / Double(pairs.count)
    passed =
      maxAbs <= tolerance.maxAbs && cosine >= tolerance.cosine
      && short.allSatisfy { $0 <= tolerance.maxAbs * span }
  }

  private static func cosine(_ one: [Double], _ other: [Double], largest: Double) -> Double {
    let (a, b) = (one.centred, other.centred)
    let norms = (a.norm, b.norm)
    // All logits alike in both: the same direction, none.
    if Swift.max(norms.0, norms.1) <= 1e-12 * largest { return 1 }
    let product = norms.0 * norms.1
    return zip(a, b).map(*).reduce(0, +) / (product > 0 ? product : 1)
  }
}

extension [Double] {
  fileprivate var centred: [Double] {
    let mean = reduce(0, +) / Double(count)
    return map { $0 - mean }
  }

  fileprivate var norm: Double { map { $0 * $0 }.reduce(0, +).squareRoot() }
}
