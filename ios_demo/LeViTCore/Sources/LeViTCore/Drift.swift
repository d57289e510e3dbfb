/// Whether the last third of a run was slower than the first.
public struct Drift: Codable, Equatable, Sendable {
  /// Of the medians, last to first.
  public let ratio: Double
  /// Chance of such a difference, either way, without drift.
  public let p: Double
  /// Unlikely by chance, and more than 3 %.
  public let drifted: Bool

  /// A third is cut into so many blocks, for neighbours in time are not independent.
  private static let blocks = 10
  private static let fewestBlocks = 5
  private static let certain = 0.01
  private static let matters = 0.03

  /// Compare medians of blocks by Mann and Whitney's test. Nil where there are too few samples to be certain of anything.
  public init?(_ samples: [Double]) {
    let third = samples.count / 3
    let blocks = min(Self.blocks, third / 3)
    guard blocks >= Self.fewestBlocks else { return nil }
    let first = Array(samples.prefix(third))
    let last = Array(samples.suffix(third))
    let ratio = last.median / first.median
    let p = MannWhitney.pValue(first.blockMedians(blocks), last.blockMedians(blocks))
    self.ratio = ratio.rounded(digits: 4)
    self.p = p.rounded(digits: 4)
    drifted = p < Self.certain && abs(ratio - 1) > Self.matters
  }
}

extension [Double] {
  /// Of neighbours; the first blocks are one longer where it does not come out even.
  fileprivate func blockMedians(_ blocks: Int) -> [Double] {
    let (size, longer) = count.quotientAndRemainder(dividingBy: blocks)
    var start = 0
    return (0..<blocks).map { block in
      let end = start + size + (block < longer ? 1 : 0)
      defer { start = end }
      return Array(self[start..<end]).median
    }
  }
}
