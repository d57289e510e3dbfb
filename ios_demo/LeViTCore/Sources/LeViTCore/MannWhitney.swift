import Foundation

/// Mann and Whitney's test of two groups, two-sided.
enum MannWhitney {
  /// With so many in a group, the normal distribution is close enough.
  private static let large = 8

  /// The chance that two groups of one origin differ as much. Exact for small groups without ties.
  static func pValue(_ first: [Double], _ second: [Double]) -> Double {
    let (ranks, ties) = ranks(first + second)
    let (n, m) = (first.count, second.count)
    let u = ranks.prefix(n).reduce(0, +) - Double(n * (n + 1)) / 2
    let greater = max(u, Double(n * m) - u)
    let exact = ties.isEmpty && min(n, m) <= large
    let tail = exact ? exactTail(Int(greater), n, m) : normalTail(greater, n, m, ties)
    return min(1, 2 * tail)
  }

  /// Ranks from 1 (equals share their mean), and how many equals there are of each value that is there more than once.
  private static func ranks(_ values: [Double]) -> (ranks: [Double], ties: [Int]) {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var ties: [Int] = []
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count && values[order[end]] == values[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + end + 1) / 2 }
      if end - start > 1 { ties.append(end - start) }
      start = end
    }
    return (ranks, ties)
  }

  /// P(U >= u): how many of the ways to mix both groups give each U, counted a member of the first group at a time.
  private static func exactTail(_ u: Int, _ n: Int, _ m: Int) -> Double {
    // ways[i][s]: i of the first group placed, s pairs in which the first group's member is the greater.
    var ways = [[Double]](repeating: [Double](repeating: 0, count: n * m + 1), count: n + 1)
    ways[0][0] = 1
    for below in 0...m {
      for placed in 1...n where below * placed <= n * m {
        for sum in below...(n * m) {
          ways[placed][sum] += ways[placed - 1][sum - below]
        }
      }
    }
    return ways[n][u...].reduce(0, +) / ways[n].reduce(0, +)
  }

  private static func normalTail(_ u: Double, _ n: Int, _ m: Int, _ ties: [Int]) -> Double {
    let all = Double(n + m)
    let tied = ties.map { Double($0 * $0 * $0 - $0) }.reduce(0, +)
    let deviation = (Double(n * m) / 12 * (all + 1 - tied / (all * (all - 1)))).squareRoot()
    let distance = u - Double(n * m) / 2 - 0.5  // the half: u is a whole number, the normal distribution has all
    return 0.5 * erfc(distance / deviation / 2.0.squareRoot())
  }
}
