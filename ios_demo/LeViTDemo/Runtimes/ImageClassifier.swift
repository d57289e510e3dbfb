import Foundation
import LeViTCore

/// A loaded artifact. Pictures come as `Preprocessing.resizeAndCrop` gives them. Not safe to share: `Engine` owns it.
protocol ImageClassifier {
  /// Name and version of what runs it, as benchmark results have them.
  var runtime: BenchmarkRun.Runtime { get }
  /// The processors that may be used, as benchmark results have them.
  var processors: String { get }

  /// The likeliest classes, likeliest first.
  func classify(_ picture: RGBImage, top count: Int) throws -> [Prediction]

  /// The score of each class before the softmax, in the order of the labels.
  func logits(of picture: RGBImage) throws -> [Float]

  /// One inference of a picture, and nothing else: the input is made before, the output is not looked at.
  func inference(of picture: RGBImage) throws -> () throws -> Void
}

/// Opens a bundle with the runtime that it was made for.
enum Runtimes {
  static func open(_ bundle: ModelBundle, _ processors: Processors) async throws -> sending any ImageClassifier {
    switch bundle.manifest.artifact.target {
    case "coreml": try await CoreMLClassifier(bundle, processors)
    case "executorch": try ExecuTorchClassifier(bundle)
    default: throw Failure.wrongTarget(bundle.manifest.artifact.target)
    }
  }
}
