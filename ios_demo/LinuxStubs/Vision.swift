import CoreML

public enum VNImageCropAndScaleOption: UInt, Sendable {
  case centerCrop, scaleFit, scaleFill
}

public struct VNImageOption: Hashable, Sendable {}

open class VNObservation: NSObject {
  open var confidence: Float { fatalError() }
}

open class VNClassificationObservation: VNObservation {
  open var identifier: String { fatalError() }
}

open class VNRequest: NSObject {
  open var results: [VNObservation]? { fatalError() }
}

open class VNCoreMLModel: NSObject {
  public init(for model: MLModel) throws {}
}

open class VNCoreMLRequest: VNRequest {
  public init(model: VNCoreMLModel) {}
  open var imageCropAndScaleOption: VNImageCropAndScaleOption {
    get { fatalError() }
    set {}
  }
}

open class VNImageRequestHandler: NSObject {
  public init(cvPixelBuffer pixelBuffer: CVPixelBuffer, options: [VNImageOption: Any] = [:]) {}
  open func perform(_ requests: [VNRequest]) throws {}
}
