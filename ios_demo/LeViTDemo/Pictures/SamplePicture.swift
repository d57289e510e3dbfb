import Foundation
import LeViTCore

/// Pictures that come with the app. They are drawn (`ios_demo/tools/draw_samples.py`), so that they show nobody.
enum SamplePicture: String, CaseIterable, Identifiable, Sendable {
  case golfBall = "golf-ball"
  case parachute
  case church

  var id: Self { self }

  var name: LocalizedStringResource {
    switch self {
    case .golfBall: "Golf ball"
    case .parachute: "Parachute"
    case .church: "Church"
    }
  }

  /// A PNG.
  func data() throws -> Data {
    guard let place = Bundle.main.url(forResource: rawValue, withExtension: "png") else {
      throw Failure.unreadablePicture
    }
    return try Data(contentsOf: place)
  }
}
