import Foundation
import LeViTCore

/// What can go wrong, as a screen tells it. `detail` is for whoever made the bundle, in English like the manifest.
enum Failure: Error, Equatable {
  case noModel
  case corruptBundle(detail: String)
  case wrongTarget(String)
  case cannotLoad(detail: String)
  case cannotRun(detail: String)
  case unreadablePicture
  case cameraDenied
  case cameraRestricted
  case noCamera

  var title: LocalizedStringResource {
    switch self {
    case .noModel: "No model yet"
    case .corruptBundle: "The bundle cannot be used"
    case .wrongTarget: "Made for another runtime"
    case .cannotLoad: "The model cannot be loaded"
    case .cannotRun: "The model gave no answer"
    case .unreadablePicture: "This picture cannot be read"
    case .cameraDenied: "The camera is off for this app"
    case .cameraRestricted: "The camera is restricted"
    case .noCamera: "No camera"
    }
  }

  var explanation: String {
    switch self {
    case .noModel:
      String(localized: "Export one with levit-export --into ios_demo, and run the app from Xcode again.")
    case .corruptBundle(let detail), .cannotLoad(let detail), .cannotRun(let detail):
      detail
    case .wrongTarget(let target):
      String(localized: "This app runs Core ML and ExecuTorch, and the bundle was made for \(target).")
    case .unreadablePicture:
      String(localized: "Choose another one.")
    case .cameraDenied:
      String(localized: "Allow it in Settings, or classify photos and samples.")
    case .cameraRestricted:
      String(localized: "A profile or Screen Time does not allow it. Photos and samples still work.")
    case .noCamera:
      String(localized: "This device has none that can be used. Photos and samples still work.")
    }
  }

  var symbol: String {
    switch self {
    case .noModel: "shippingbox"
    case .corruptBundle, .cannotLoad, .wrongTarget: "shippingbox.and.arrow.backward"
    case .cannotRun: "exclamationmark.triangle"
    case .unreadablePicture: "photo"
    case .cameraDenied, .cameraRestricted, .noCamera: "video.slash"
    }
  }

  /// Whatever a runtime threw, as a failure of this kind.
  init(_ error: any Error, otherwise kind: (String) -> Failure) {
    switch error {
    case let failure as Failure: self = failure
    case let error as BundleError: self = .corruptBundle(detail: error.localizedDescription)
    default: self = kind(error.localizedDescription)
    }
  }
}
