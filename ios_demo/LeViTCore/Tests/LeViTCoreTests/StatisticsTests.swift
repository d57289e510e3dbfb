import Foundation
import Testing

@testable import LeViTCore

/// What Python's statistics (NumPy, SciPy) say of the same samples.
struct StatisticsTests {
  struct Fixture: Decodable, CustomTestStringConvertible {
    let name: String
    let samples: [Double]
    let summary: LatencySummary
    let drift: Drift?

    var testDescription: String { name }
  }

  static let fixtures = Result { try Fixtures.rows("statistics") as [Fixture] }

  @Test func thereAreFixtures() throws {
    let fixtures = try Self.fixtures.get()
    #expect(fixtures.contains { $0.drift?.drifted == true })
    #expect(fixtures.contains { $0.drift?.drifted == false })
    #expect(fixtures.contains { $0.drift == nil })
  }

  @Test(arguments: try fixtures.get())
  func sameAsPython(_ fixture: Fixture) {
    let summary = LatencySummary(fixture.samples)
    #expect(summary.count == fixture.summary.count)
    for key in [\LatencySummary.p50, \.p90, \.p99, \.min, \.mean, \.cv] {
      // A sum may be taken in another order, which moves the last digit that is told.
      #expect(abs(summary[keyPath: key] - fixture.summary[keyPath: key]) <= 1.5e-6)
    }
    let drift = Drift(fixture.samples)
    #expect((drift == nil) == (fixture.drift == nil))
    if let drift, let wanted = fixture.drift {
      #expect(abs(drift.ratio - wanted.ratio) <= 1e-4)
      #expect(abs(drift.p - wanted.p) <= 1e-4)
      #expect(drift.drifted == wanted.drifted)
    }
  }

  @Test func exactAndNormalTails() {
    // SciPy's mannwhitneyu of the same groups: exact, and with ties.
    #expect(abs(MannWhitney.pValue([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) - 0.007936507936507936) < 1e-15)
    #expect(abs(MannWhitney.pValue([1, 2, 3, 4, 5], [3, 7, 8, 9, 10]) - 0.046532985074510584) < 1e-9)
  }
}
