import Foundation
import LeViTCore

/// What the model said of a picture, and how long that took.
struct Answer: Equatable, Sendable {
  let predictions: [Prediction]
  let preprocessingMilliseconds: Double
  let inferenceMilliseconds: Double
}

/// How far a benchmark is.
struct BenchmarkProgress: Equatable, Sendable {
  let runs: Int
  let seconds: Double
}

/// Everything that runs the model happens here: off the main thread, and one thing at a time.
actor Engine {
  private static let shown = 5

  private var chosen: (bundle: ModelBundle, processors: Processors)?
  private var classifier: (any ImageClassifier)?

  /// Check a bundle's files and open it; the model before it is given up first, for two may be too much.
  ///
  /// - Returns: how far its answers to the golden pictures are from PyTorch's, on this phone.
  func load(_ bundle: ModelBundle, _ processors: Processors) async throws -> Parity {
    (chosen, classifier) = (nil, nil)
    try bundle.verify()
    let golden = try Golden(of: bundle)
    let opened = try await Runtimes.open(bundle, processors)
    try Task.checkCancellation()
    let answers = try golden.pictures.map(opened.logits)
    (chosen, classifier) = ((bundle, processors), opened)
    return Parity(of: answers, beside: golden.logits, bundle.manifest)
  }

  /// - Parameter picture: made here, for decoding takes time too.
  func classify(_ picture: @Sendable () throws -> RGBImage) async throws -> Answer {
    let (bundle, classifier) = try await opened()
    let image = try picture()
    let clock = ContinuousClock()
    let start = clock.now
    let crop = bundle.manifest.preprocessing.resizeAndCrop(image)
    let ready = clock.now
    let predictions: [Prediction]
    do {
      predictions = try classifier.classify(crop, top: Self.shown)
    } catch {
      throw Failure(error) { .cannotRun(detail: $0) }
    }
    return Answer(
      predictions: predictions, preprocessingMilliseconds: (ready - start).milliseconds,
      inferenceMilliseconds: (clock.now - ready).milliseconds)
  }

  /// Load the model anew and time it on a golden picture, as `levit bench` does. Whatever else wants the engine waits
  /// meanwhile.
  func benchmark(
    _ settings: BenchmarkSettings, progress: @Sendable (BenchmarkProgress) -> Void
  ) async throws -> BenchmarkRun {
    guard let bundle = chosen?.bundle else { throw Failure.noModel }
    let golden = try Golden(of: bundle)
    let picture = golden.pictures[0]
    classifier = nil
    let megabytesBefore = Device.megabytesInUse
    let clock = ContinuousClock()
    let start = clock.now
    let classifier = try await opened().classifier
    let loadMilliseconds = (clock.now - start).milliseconds
    var health = [Device.reading(since: start)]
    let measurement = try LatencyMeasurement(
      settings,
      progress: { runs, seconds in
        health.append(Device.reading(since: start))
        progress(BenchmarkProgress(runs: runs, seconds: seconds))
      }, infer: try classifier.inference(of: picture))
    health.append(Device.reading(since: start))
    let parity = Parity(
      of: [try classifier.logits(of: picture)], beside: [golden.logits[0]], bundle.manifest)
    return BenchmarkRun(
      bundle: bundle, place: Device.place(processors: classifier.processors), runtime: classifier.runtime,
      loadMilliseconds: loadMilliseconds, measurement: measurement, settings: settings, parity: parity,
      megabytesBefore: megabytesBefore, health: health)
  }

  /// The chosen bundle and what runs it, which a benchmark may have given up.
  private func opened() async throws -> (bundle: ModelBundle, classifier: any ImageClassifier) {
    guard let chosen else { throw Failure.noModel }
    if let classifier { return (chosen.bundle, classifier) }
    let opened = try await Runtimes.open(chosen.bundle, chosen.processors)
    classifier = opened
    return (chosen.bundle, opened)
  }
}

extension Duration {
  var milliseconds: Double {
    Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15
  }
}
