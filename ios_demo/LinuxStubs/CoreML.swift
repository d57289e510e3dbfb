@_exported import CoreVideo

public enum MLComputeUnits: Int, Sendable {
  case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

open class MLModelConfiguration: NSObject {
  open var computeUnits: MLComputeUnits {
    get { fatalError() }
    set {}
  }
  public override init() {}
}

public protocol MLFeatureProvider {}

open class MLFeatureValue: NSObject {
  public init(pixelBuffer value: CVPixelBuffer) {}
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  public init(dictionary: [String: Any]) throws {}
}

open class MLModel: NSObject {
  open class func load(contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()) async throws
    -> MLModel
  { fatalError() }
  open class func compileModel(at url: URL) throws -> URL { fatalError() }
  open class func compileModel(at url: URL) async throws -> URL { fatalError() }
  open func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider { fatalError() }
}
