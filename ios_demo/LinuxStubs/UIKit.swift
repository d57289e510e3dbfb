import AVFoundation
@_exported import AppleFoundation

@MainActor
open class UIView: NSObject {
  public init(frame: CGRect) {}
  public required init?(coder: NSCoder) {}
  open var bounds: CGRect {
    get { fatalError() }
    set {}
  }
  open var layer: CALayer { fatalError() }
  open func layoutSubviews() {}
}

open class UIImage: NSObject, @unchecked Sendable {
  public init?(data: Data) {}
}

open class UIColor: NSObject, @unchecked Sendable {
  open class var secondarySystemBackground: UIColor { fatalError() }
}

@MainActor
open class UIApplication: NSObject {
  nonisolated open class var openSettingsURLString: String { fatalError() }
}
