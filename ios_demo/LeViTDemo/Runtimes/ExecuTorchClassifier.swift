import ExecuTorch
import Foundation
import LeViTCore

/// A `.pte`, run by ExecuTorch. It takes a tensor, so resizing, normalising and softmax are ours.
///
/// The backend was chosen at export (`--delegate`): XNNPACK on the CPU, or Core ML. The app links both.
final class ExecuTorchClassifier: ImageClassifier {
  /// Of the package that the project names: the branch `swiftpm-1.5.1`.
  static let version = "1.5.1"

  let runtime = BenchmarkRun.Runtime(name: "ExecuTorch", version: ExecuTorchClassifier.version)
  let processors: String

  private let module: Module
  private let method: String
  private let encoding: TensorEncoding
  private let shape: [Int]
  private let dataType: DataType
  private let labels: [String]

  init(_ bundle: ModelBundle) throws {
    let manifest = bundle.manifest
    encoding = TensorEncoding(input: manifest.input, preprocessing: manifest.preprocessing)
    shape = [1] + manifest.input.shape.dropFirst()
    labels = manifest.classNames
    dataType =
      switch manifest.input.dtype {
      case .float32: .float
      case .int8: .char
      case .uint8: .byte
      }
    let delegate = manifest.artifact.options?["delegate"] ?? "xnnpack"
    processors = delegate == "coreml" ? Processors.all.told : Processors.cpu.told
    module = Module(filePath: bundle.artifact.path)
    method = try Self.load(manifest.artifact.methods, of: module)
  }

  /// The first of several methods that this processor can run: those in front are faster, and want more of it.
  private static func load(_ methods: [String], of module: Module) throws -> String {
    #if arch(arm64)
      for method in methods.dropLast() where (try? module.load(method)) != nil {
        return method
      }
    #endif
    let plain = methods.last ?? "forward"
    try module.load(plain)
    return plain
  }

  func classify(_ picture: RGBImage, top count: Int) throws -> [Prediction] {
    Prediction.top(count, of: try logits(of: picture), labels: labels)
  }

  func logits(of picture: RGBImage) throws -> [Float] {
    let outputs: [Value] = try module.execute(method, [tensor(of: picture)])
    guard let output: Tensor<Float> = outputs.first?.tensor(), output.count == labels.count else {
      throw Failure.cannotRun(detail: "\(method) gave no \(labels.count) float numbers, one for each class.")
    }
    return output.scalars()
  }

  func inference(of picture: RGBImage) throws -> () throws -> Void {
    let input = tensor(of: picture)
    return { [module, method] in
      let _: [Value] = try module.execute(method, [input])
    }
  }

  private func tensor(of picture: RGBImage) -> AnyTensor {
    AnyTensor(data: encoding.encode(picture), shape: shape, dataType: dataType)
  }

}
