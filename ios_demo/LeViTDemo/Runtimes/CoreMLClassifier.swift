import CoreML
import CoreVideo
import Foundation
import LeViTCore
import Vision

/// A `.mlpackage`, run by Core ML, with Vision in front.
///
/// Vision could resize and crop as well, but not as the network was trained: `centerCrop` takes the whole shorter side, and
/// LeViT's evaluation resizes that to 256 and keeps the middle 224; its filter is not the bicubic one either. So the
/// picture comes with the right size and the right pixels, the very ones that `levit validate` measured, and Vision has
/// nothing left to scale: `scaleFill` onto the same size changes nothing.
final class CoreMLClassifier: ImageClassifier {
  let runtime = BenchmarkRun.Runtime(name: "Core ML", version: Device.system)
  let processors: String

  private let model: MLModel
  private let request: VNCoreMLRequest
  private let inputName: String
  private let outputName: String
  private let classNumbers: [String: Int]

  init(_ bundle: ModelBundle, _ processors: Processors) async throws {
    let configuration = MLModelConfiguration()
    configuration.computeUnits = processors.computeUnits
    model = try await CompiledModels.load(bundle, configuration)
    request = VNCoreMLRequest(model: try VNCoreMLModel(for: model))
    request.imageCropAndScaleOption = .scaleFill
    inputName = bundle.manifest.input.name
    outputName = bundle.manifest.output.name
    self.processors = processors.told
    classNumbers = Dictionary(uniqueKeysWithValues: bundle.manifest.classNames.enumerated().map { ($1, $0) })
  }

  func classify(_ picture: RGBImage, top count: Int) throws -> [Prediction] {
    try VNImageRequestHandler(cvPixelBuffer: picture.pixelBuffer()).perform([request])
    // The labels are the package's own; Vision sorts them.
    let observations = request.results as? [VNClassificationObservation] ?? []
    guard !observations.isEmpty else {
      throw Failure.cannotRun(detail: "The package is no classifier: it has no class labels.")
    }
    return observations.prefix(count).enumerated().map { place, observation in
      Prediction(
        id: classNumbers[observation.identifier] ?? -1 - place, label: observation.identifier,
        probability: Double(observation.confidence))
    }
  }

  func logits(of picture: RGBImage) throws -> [Float] {
    let output = try model.prediction(from: input(of: picture))
    guard let logits = output.featureValue(for: outputName)?.multiArrayValue else {
      throw Failure.cannotRun(detail: "The package has no output that is called \(outputName).")
    }
    return (0..<logits.count).map { logits[$0].floatValue }
  }

  func inference(of picture: RGBImage) throws -> () throws -> Void {
    let input = try input(of: picture)
    return { [model] in
      _ = try model.prediction(from: input)
    }
  }

  private func input(of picture: RGBImage) throws -> any MLFeatureProvider {
    let image = MLFeatureValue(pixelBuffer: try picture.pixelBuffer())
    return try MLDictionaryFeatureProvider(dictionary: [inputName: image])
  }
}
