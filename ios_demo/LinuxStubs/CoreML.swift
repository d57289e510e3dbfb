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

public protocol MLFeatureProvider {
  func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLMultiArray: NSObject {
  open var count: Int { fatalError() }
  open subscript(index: Int) -> NSNumber {
    get { fatalError() }
    set {}
  }
}

open class MLFeatureValue: NSObject {
  open var multiArrayValue: MLMultiArray? { fatalError() }
  public init(pixelBuffer value: CVPixelBuffer) {}
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
  public init(dictionary: [String: Any]) throws {}
  open func featureValue(for featureName: String) -> MLFeatureValue? { fatalError() }
}

open class MLModel: NSObject {
  open class func load(contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()) async throws
    -> MLModel
  { fatalError() }
  open class func compileModel(at url: URL) throws -> URL { fatalError() }
  open class func compileModel(at url: URL) async throws -> URL { fatalError() }
  open func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider { fatalError() }
}
