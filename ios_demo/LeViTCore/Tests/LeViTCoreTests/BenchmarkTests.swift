import Foundation
import Testing

@testable import LeViTCore

struct LatencyMeasurementTests {
  /// A clock that goes on by what each inference takes.
  private final class Stage {
    var time: UInt64 = 1_000_000_000
    var runs = 0
    let milliseconds: (Int) -> Double

    init(_ milliseconds: @escaping (Int) -> Double) {
      self.milliseconds = milliseconds
    }

    func infer() {
      time += UInt64(milliseconds(runs) * 1e6)
      runs += 1
    }
  }

  private func measure(_ stage: Stage, _ settings: BenchmarkSettings) throws -> LatencyMeasurement {
    try LatencyMeasurement(settings, now: { stage.time }, infer: stage.infer)
  }

  @Test func firstWarmUpSteady() throws {
    var settings = BenchmarkSettings()
    (settings.warmupRuns, settings.warmupSeconds, settings.minRuns, settings.minSeconds) = (3, 0, 5, 0)
    let found = try measure(Stage { [50, 9, 9, 9, 1, 2, 3, 4, 5][$0] }, settings)
    #expect(found.firstMilliseconds == 50)
    #expect(found.samples == [1, 2, 3, 4, 5])
  }

  @Test func secondsCountToo() throws {
    var settings = BenchmarkSettings()
    (settings.warmupRuns, settings.warmupSeconds, settings.minRuns, settings.minSeconds) = (1, 0.1, 2, 1)
    let stage = Stage { _ in 10 }
    #expect(try measure(stage, settings).samples.count == 100)
    #expect(stage.runs == 1 + 10 + 100)
  }

  @Test func itEndsInAnyCase() throws {
    var settings = BenchmarkSettings()
    (settings.warmupRuns, settings.warmupSeconds, settings.minRuns, settings.maxSeconds) = (0, 0, 1000, 2)
    #expect(try measure(Stage { _ in 500 }, settings).samples.count == 5)
  }

  @Test func progressIsToldNowAndThen() throws {
    var settings = BenchmarkSettings()
    (settings.warmupRuns, settings.warmupSeconds, settings.minRuns, settings.minSeconds) = (0, 0, 100, 0)
    settings.readingEverySeconds = 0.25
    let stage = Stage { _ in 10 }
    var told: [Int] = []
    _ = try LatencyMeasurement(
      settings, now: { stage.time }, progress: { runs, _ in told.append(runs) }, infer: stage.infer)
    #expect(told == [25, 50, 75, 100])
  }

  @Test func errorsComeThrough() {
    struct Broken: Error {}
    #expect(throws: Broken.self) {
      try LatencyMeasurement(BenchmarkSettings()) { throw Broken() }
    }
  }

  @Test func cancelling() async {
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      return try LatencyMeasurement(BenchmarkSettings()) {}
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}

/// The results that `tests/ios_demo/test_ios_results.py` gives to `levit report`.
struct BenchmarkResultsTests {
  private func run(
    samples: [Double], thermal: BenchmarkRun.ThermalState = .nominal, settings: BenchmarkSettings = BenchmarkSettings(),
    answer: [Float] = [0, 1]
  ) throws -> BenchmarkRun {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())/levit_128s-int8-coreml")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }
    try Fixtures.data("coreml-manifest", "json").write(to: folder.appendingPathComponent("manifest.json"))
    let stage = Samples([7.25] + samples)
    var exact = settings
    (exact.warmupRuns, exact.warmupSeconds, exact.minSeconds) = (0, 0, 0)
    exact.minRuns = samples.count
    return BenchmarkRun(
      bundle: try ModelBundle(folder: folder),
      place: .init(
        model: "iPhone16,1", processors: "CPU and Neural Engine", machine: "arm64", cores: 6, memoryMegabytes: 7670,
        os: "iOS 17.5.1"),
      runtime: .init(name: "Core ML", version: "iOS 17.5.1"),
      loadMilliseconds: 182.5,
      measurement: try LatencyMeasurement(exact, now: { stage.time }, infer: stage.infer),
      settings: settings,
      parity: Parity(of: [answer], beside: [[0, 1]], tolerance: (0.15, 0.98)),
      megabytesBefore: 41.5,
      health: [
        .init(seconds: 0, megabytes: 52.25, thermalState: .nominal),
        .init(seconds: 1.5, megabytes: 58.75, thermalState: thermal),
      ])
  }

  private final class Samples {
    var time: UInt64 = 0
    private var left: ArraySlice<Double>

    init(_ samples: [Double]) {
      left = samples[...]
    }

    func infer() {
      time += UInt64(left.removeFirst() * 1e6)
    }
  }

  /// 120 of them, around 2 ms.
  private let steady = (0..<120).map { 2 + Double($0 * 37 % 11) / 64 }

  @Test func asLevitReportReadsThem() throws {
    let created = Date(timeIntervalSince1970: 1_772_600_767)
    let tool = "LeViT demo for iOS 0.1.0"
    let results = BenchmarkResults(
      created: created, tool: tool, settings: BenchmarkSettings(), runs: [try run(samples: steady)])
    let wanted = try JSONDecoder().decode(JSONValue.self, from: Fixtures.data("results", "json"))
    let found = try results.json()
    #expect(try JSONDecoder().decode(JSONValue.self, from: found) == wanted)
    #expect(try results.json() == found)
    if let file = ProcessInfo.processInfo.environment["LEVIT_WRITE_RESULTS"] {
      try found.write(to: URL(fileURLWithPath: file))
    }
  }

  @Test func aSteadyRunIsValid() throws {
    #expect(try run(samples: steady).invalid == [])
    #expect(try run(samples: steady, thermal: .fair).invalid == [])
  }

  @Test(arguments: [BenchmarkRun.ThermalState.serious, .critical])
  func aHotPhoneIsNot(_ state: BenchmarkRun.ThermalState) throws {
    let found = try run(samples: steady, thermal: state)
    #expect(found.invalid.count == 1)
    #expect(found.invalid[0].contains("thermal state \(state.name)"))
    let health = try JSONSerialization.jsonObject(with: JSONEncoder().encode(found.health)) as? [[String: Any]]
    #expect(health?.map { $0["throttled"] as? Int } == [0, 4])
    #expect(health?[1]["thermal_state"] as? String == state.name)
  }

  @Test func aRunThatGetsSlowerIsNot() throws {
    let found = try run(samples: (0..<120).map { 2 + Double($0) / 128 })
    #expect(found.drift?.drifted == true)
    #expect(found.invalid.contains { $0.hasPrefix("it drifted") })
  }

  @Test func tooFewInferences() throws {
    let found = try run(samples: [2, 2, 2])
    #expect(found.invalid == ["3 inferences took 60 s, and 100 were asked for"])
  }

  @Test func aWrongAnswerIsWorthNothing() throws {
    let found = try run(samples: steady, answer: [1, 0])
    #expect(found.invalid.count == 1)
    #expect(found.invalid[0].hasPrefix("the answer to the golden picture is wrong there"))
    let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(found)) as? [String: Any]
    #expect(json?["wrong"] as? Bool == true)
  }
}
