import Dispatch

/// How long to measure; names and meaning are those of `levit bench`.
public struct BenchmarkSettings: Codable, Equatable, Sendable {
  public var warmupRuns = 10
  public var warmupSeconds = 0.5
  /// Inferences, at least.
  public var minRuns = 100
  /// Seconds, at least.
  public var minSeconds = 3.0
  /// Seconds after which a run ends in any case.
  public var maxSeconds = 60.0
  /// Between readings of memory and thermal state.
  public var readingEverySeconds = 0.5

  public init() {}

  enum CodingKeys: String, CodingKey {
    case warmupRuns = "warmup_runs"
    case warmupSeconds = "warmup_s"
    case minRuns = "min_runs"
    case minSeconds = "min_s"
    case maxSeconds = "max_s"
    case readingEverySeconds = "every_s"
  }
}

/// Times of one artifact's inferences.
public struct LatencyMeasurement: Equatable, Sendable {
  /// The first one, which also makes what a runtime makes on first use.
  public let firstMilliseconds: Double
  public let samples: [Double]

  /// First inference, warm-up, steady state: one after the other on the caller's thread.
  ///
  /// - Parameters:
  ///   - now: nanoseconds of a clock that nobody sets.
  ///   - progress: told about every `readingEverySeconds`; how many inferences were timed, and how long they took.
  ///     Between inferences, so that it costs none of them time.
  ///   - infer: one inference.
  /// - Throws: what `infer` does, or `CancellationError`.
  public init(
    _ settings: BenchmarkSettings,
    now: () -> UInt64 = { DispatchTime.now().uptimeNanoseconds },
    progress: (_ runs: Int, _ seconds: Double) -> Void = { _, _ in },
    infer: () throws -> Void
  ) throws {
    func timed() throws -> Double {
      let start = now()
      try infer()
      return Double(now() - start) / 1e6
    }
    func repeated(runs: Int, seconds: Double, tell: Bool) throws -> [Double] {
      let start = now()
      var samples: [Double] = []
      var told = 0.0
      var passed = 0.0
      while samples.count < runs || passed < seconds {
        if passed > settings.maxSeconds { break }
        try Task.checkCancellation()
        samples.append(try timed())
        passed = Double(now() - start) / 1e9
        if tell && passed - told >= settings.readingEverySeconds {
          progress(samples.count, passed)
          told = passed
        }
      }
      return samples
    }
    firstMilliseconds = try timed()
    _ = try repeated(runs: settings.warmupRuns, seconds: settings.warmupSeconds, tell: false)
    samples = try repeated(runs: settings.minRuns, seconds: settings.minSeconds, tell: true)
  }
}
