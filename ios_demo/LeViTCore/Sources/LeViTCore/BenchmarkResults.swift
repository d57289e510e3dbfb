import Foundation

/// What `levit report` reads: the same JSON that `levit bench` writes.
public struct BenchmarkResults: Encodable, Sendable {
  private let format = 1
  private let kind = "levit-bench"
  public let about: About
  public var runs: [BenchmarkRun]
  private let ratios: [JSONValue] = []
  private let counts: [JSONValue] = []
  private let accuracy: [JSONValue] = []

  public struct About: Encodable, Sendable {
    /// ISO 8601, UTC.
    public let created: String
    /// The app, and its version.
    public let tool: String
    public let settings: BenchmarkSettings
  }

  public init(created: Date, tool: String, settings: BenchmarkSettings, runs: [BenchmarkRun] = []) {
    about = About(created: created.formatted(.iso8601), tool: tool, settings: settings)
    self.runs = runs
  }

  /// The same results give the same text.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }
}

/// One artifact, measured once.
public struct BenchmarkRun: Encodable, Equatable, Sendable, Identifiable {
  public let id = UUID()
  public let artifact: Artifact
  public let place: Place
  public let runtime: Runtime
  public let loadMilliseconds: Double
  public let firstMilliseconds: Double
  public let samples: [Double]
  public let summary: LatencySummary
  public let drift: Drift?
  /// The most that the app had, and what it had before the artifact was loaded; the rest is not the model's.
  public let peakMegabytes: Double
  public let megabytesBefore: Double
  public let health: [Reading]
  /// Why its times are not to be believed; empty when they are.
  public let invalid: [String]
  /// Whether the answer to the golden picture was not PyTorch's.
  public let wrong: Bool
  private let complete = true

  enum CodingKeys: String, CodingKey {
    case artifact, runtime, summary, drift, health, invalid, wrong, complete
    case place = "where"
    case loadMilliseconds = "load_ms"
    case firstMilliseconds = "first_ms"
    case samples = "samples_ms"
    case peakMegabytes = "peak_mb"
    case megabytesBefore = "before_mb"
  }

  /// - Precondition: at least one sample.
  public init(
    bundle: ModelBundle, place: Place, runtime: Runtime, loadMilliseconds: Double, measurement: LatencyMeasurement,
    settings: BenchmarkSettings, parity: Parity, megabytesBefore: Double, health: [Reading]
  ) {
    artifact = Artifact(bundle)
    self.place = place
    self.runtime = runtime
    self.loadMilliseconds = loadMilliseconds.rounded(digits: 3)
    firstMilliseconds = measurement.firstMilliseconds.rounded(digits: 6)
    samples = measurement.samples.map { $0.rounded(digits: 6) }
    summary = LatencySummary(measurement.samples)
    drift = Drift(measurement.samples)
    peakMegabytes = health.map(\.megabytes).max() ?? megabytesBefore
    self.megabytesBefore = megabytesBefore
    self.health = health
    wrong = !parity.passed
    invalid = Self.doubts(measurement.samples.count, settings, health, drift, parity)
  }

  private static func doubts(
    _ count: Int, _ settings: BenchmarkSettings, _ health: [Reading], _ drift: Drift?, _ parity: Parity
  ) -> [String] {
    var found: [String] = []
    if let worst = health.map(\.thermalState).max(), worst >= .serious {
      found.append("the phone was throttled: thermal state \(worst.name); let it cool, and measure again")
    }
    if count < settings.minRuns {
      let seconds = Int(settings.maxSeconds)
      found.append("\(count) inferences took \(seconds) s, and \(settings.minRuns) were asked for")
    }
    if !parity.passed {
      let far =
        parity.maxAbs.isFinite ? "\((1000 * parity.maxAbs).rounded() / 10) % of the logits' range" : "no numbers"
      found.append("the answer to the golden picture is wrong there: \(far) away from PyTorch's")
    }
    if let drift, drift.drifted {
      found.append("it drifted: the last third took \(drift.ratio) times as long as the first")
    }
    return found
  }

  public struct Artifact: Encodable, Equatable, Sendable {
    public let bundle: String
    public let target: String
    public let variant: String
    public let precision: String
    public let options: [String: String]
    public let sha256: String
    public let bytes: Int
    public let classes: Int
    public let accuracy: JSONValue?
    public let parity: JSONValue?

    init(_ bundle: ModelBundle) {
      let manifest = bundle.manifest
      self.bundle = bundle.name
      target = manifest.artifact.target
      variant = manifest.model.variant
      precision = manifest.artifact.precision
      options = manifest.artifact.options ?? [:]
      sha256 = bundle.artifactDigest
      bytes = bundle.artifactBytes
      classes = manifest.model.classes
      accuracy = manifest.accuracy
      parity = manifest.parity
    }
  }

  /// Where it ran. The processors are part of the name: the Neural Engine of a phone is another place than its CPU.
  public struct Place: Encodable, Equatable, Sendable {
    private let kind = "ios"
    public let name: String
    public let facts: Facts

    public struct Facts: Encodable, Equatable, Sendable {
      /// The processors that the runtime might use.
      public let cpu: String
      public let machine: String
      public let cores: Int
      public let memoryMegabytes: Int
      public let os: String

      enum CodingKeys: String, CodingKey {
        case cpu, machine, cores, os
        case memoryMegabytes = "memory_mb"
      }
    }

    public init(model: String, processors: String, machine: String, cores: Int, memoryMegabytes: Int, os: String) {
      name = "\(model), \(processors)"
      facts = Facts(cpu: processors, machine: machine, cores: cores, memoryMegabytes: memoryMegabytes, os: os)
    }
  }

  public struct Runtime: Encodable, Equatable, Sendable {
    public let name: String
    public let version: String

    public init(name: String, version: String) {
      self.name = name
      self.version = version
    }
  }

  /// How the phone was, `seconds` after the benchmark began.
  public struct Reading: Encodable, Equatable, Sendable {
    public let seconds: Double
    public let megabytes: Double
    public let thermalState: ThermalState

    public init(seconds: Double, megabytes: Double, thermalState: ThermalState) {
      self.seconds = seconds.rounded(digits: 2)
      self.megabytes = megabytes
      self.thermalState = thermalState
    }

    enum CodingKeys: String, CodingKey {
      case seconds, throttled
      case megabytes = "memory_mb"
      case thermalState = "thermal_state"
    }

    public func encode(to encoder: any Encoder) throws {
      var values = encoder.container(keyedBy: CodingKeys.self)
      try values.encode(seconds, forKey: .seconds)
      try values.encode(megabytes, forKey: .megabytes)
      try values.encode(thermalState.name, forKey: .thermalState)
      // The flag "it is throttled" as `levit report` knows it from boards.
      try values.encode(thermalState >= .serious ? 4 : 0, forKey: .throttled)
    }
  }

  /// As the system tells it; from `serious` on it slows its processors down.
  public enum ThermalState: Int, Comparable, Sendable {
    case nominal, fair, serious, critical

    public var name: String { "\(self)" }

    public static func < (one: ThermalState, other: ThermalState) -> Bool { one.rawValue < other.rawValue }
  }
}
