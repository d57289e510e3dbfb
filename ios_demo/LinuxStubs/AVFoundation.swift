@_exported import CoreGraphics
import CoreVideo
@_exported import Dispatch

public enum AVAuthorizationStatus: Int, Sendable {
  case notDetermined, restricted, denied, authorized
}

public struct AVMediaType: Hashable, Sendable {
  public static let video = AVMediaType()
}

public final class CMSampleBuffer {}
public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVImageBuffer? { fatalError() }

open class CALayer: NSObject {
  open var frame: CGRect {
    get { fatalError() }
    set {}
  }
  open func addSublayer(_ layer: CALayer) {}
}

public final class AVCaptureDevice: NSObject, @unchecked Sendable {
  public struct DeviceType: Hashable, Sendable {
    public static let builtInWideAngleCamera = DeviceType()
  }

  public enum Position: Int, Sendable {
    case unspecified, back, front
  }

  public final class RotationCoordinator: NSObject {
    public init(device: AVCaptureDevice, previewLayer: CALayer?) {}
    public var videoRotationAngleForHorizonLevelPreview: CGFloat { fatalError() }
    public var videoRotationAngleForHorizonLevelCapture: CGFloat { fatalError() }
  }

  public class func authorizationStatus(for type: AVMediaType) -> AVAuthorizationStatus { fatalError() }
  public class func requestAccess(for type: AVMediaType) async -> Bool { fatalError() }
  public class func `default`(_ type: DeviceType, for media: AVMediaType?, position: Position) -> AVCaptureDevice? {
    fatalError()
  }
}

open class AVCaptureInput: NSObject {}
open class AVCaptureDeviceInput: AVCaptureInput {
  public init(device: AVCaptureDevice) throws {}
}

open class AVCaptureConnection: NSObject {
  open var videoRotationAngle: CGFloat {
    get { fatalError() }
    set {}
  }
  open func isVideoRotationAngleSupported(_ angle: CGFloat) -> Bool { fatalError() }
}

open class AVCaptureOutput: NSObject {
  open func connection(with type: AVMediaType) -> AVCaptureConnection? { fatalError() }
}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: AnyObject {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection)
}

open class AVCaptureVideoDataOutput: AVCaptureOutput {
  // As Objective-C has it.
  // swift-format-ignore: NeverUseImplicitlyUnwrappedOptionals
  open var videoSettings: [String: Any]! {
    get { fatalError() }
    set {}
  }
  open var alwaysDiscardsLateVideoFrames: Bool {
    get { fatalError() }
    set {}
  }
  open func setSampleBufferDelegate(
    _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
  ) {}
}

open class AVCaptureSession: NSObject, @unchecked Sendable {
  public struct Preset: Hashable, Sendable {
    public static let hd1280x720 = Preset()
  }

  open var sessionPreset: Preset {
    get { fatalError() }
    set {}
  }
  open func beginConfiguration() {}
  open func commitConfiguration() {}
  open func canAddInput(_ input: AVCaptureInput) -> Bool { fatalError() }
  open func canAddOutput(_ output: AVCaptureOutput) -> Bool { fatalError() }
  open func addInput(_ input: AVCaptureInput) {}
  open func addOutput(_ output: AVCaptureOutput) {}
  open func startRunning() {}
  open func stopRunning() {}
}

public struct AVLayerVideoGravity: Hashable, Sendable {
  public static let resizeAspectFill = AVLayerVideoGravity()
}

open class AVCaptureVideoPreviewLayer: CALayer {
  public init(session: AVCaptureSession) {}
  open var videoGravity: AVLayerVideoGravity {
    get { fatalError() }
    set {}
  }
  open var connection: AVCaptureConnection? { fatalError() }
}
