import AVFoundation
import CoreVideo
import Foundation

/// A frame of the camera. Its pixels are only read, by whoever takes it from the stream.
struct CameraFrame: @unchecked Sendable {
  let buffer: CVPixelBuffer
}

/// The back camera: a session, and the latest frame.
///
/// Everything that changes what is not constant happens on `queue`, which is also the one that frames come on.
final class Camera: NSObject, @unchecked Sendable {
  let session = AVCaptureSession()

  private let output = AVCaptureVideoDataOutput()
  private let queue = DispatchQueue(label: "camera")
  private var isConfigured = false
  /// Who gets the frames: the last one who asked.
  private var receiver: (id: UUID, continuation: AsyncStream<CameraFrame>.Continuation)?

  /// Ask for permission where nobody was asked yet, and let frames come until nobody iterates over them any more.
  ///
  /// Only the latest frame waits for whoever iterates: a model that is slower than the camera sees no old ones.
  ///
  /// - Throws: `Failure.cameraDenied`, `.cameraRestricted` or `.noCamera`.
  func start() async throws -> (device: AVCaptureDevice, frames: AsyncStream<CameraFrame>) {
    switch AVCaptureDevice.authorizationStatus(for: .video) {
    case .authorized: break
    case .notDetermined:
      guard await AVCaptureDevice.requestAccess(for: .video) else { throw Failure.cameraDenied }
    case .restricted: throw Failure.cameraRestricted
    default: throw Failure.cameraDenied
    }
    guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
      throw Failure.noCamera
    }
    let id = UUID()
    let (frames, continuation) = AsyncStream<CameraFrame>.makeStream(bufferingPolicy: .bufferingNewest(1))
    continuation.onTermination = { _ in self.stop(id) }
    try await withCheckedThrowingContinuation { done in
      queue.async {
        done.resume(
          with: Result {
            try self.configure(device)
            self.receiver = (id, continuation)
            self.session.startRunning()
          })
      }
    }
    return (device, frames)
  }

  private func stop(_ id: UUID) {
    queue.async {
      // Somebody else may have asked meanwhile.
      guard self.receiver?.id == id else { return }
      self.receiver = nil
      self.session.stopRunning()
    }
  }

  /// Frames come upright if they are turned as far as the phone is.
  func turnFrames(to angle: CGFloat) {
    queue.async {
      guard let connection = self.output.connection(with: .video) else { return }
      if connection.isVideoRotationAngleSupported(angle) { connection.videoRotationAngle = angle }
    }
  }

  private func configure(_ device: AVCaptureDevice) throws {
    if isConfigured { return }
    session.beginConfiguration()
    defer { session.commitConfiguration() }
    // More pixels than the model needs, and enough for the preview.
    session.sessionPreset = .hd1280x720
    let input = try AVCaptureDeviceInput(device: device)
    output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
    output.alwaysDiscardsLateVideoFrames = true
    output.setSampleBufferDelegate(self, queue: queue)
    guard session.canAddInput(input), session.canAddOutput(output) else { throw Failure.noCamera }
    session.addInput(input)
    session.addOutput(output)
    isConfigured = true
  }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
  func captureOutput(
    _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
  ) {
    if let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) {
      receiver?.continuation.yield(CameraFrame(buffer: buffer))
    }
  }
}
