import Darwin
import Foundation
import LeViTCore

/// What the phone is, and how it is right now.
enum Device {
  /// As "iOS 17.5.1".
  static var system: String {
    let version = ProcessInfo.processInfo.operatingSystemVersion
    return "iOS \(version.majorVersion).\(version.minorVersion).\(version.patchVersion)"
  }

  /// Where a benchmark runs. The phone is told by its model, as in "iPhone16,1", and by nothing that is its owner's.
  static func place(processors: String) -> BenchmarkRun.Place {
    let info = ProcessInfo.processInfo
    return BenchmarkRun.Place(
      model: simulated ?? name(\.machine), processors: processors,
      machine: simulated == nil ? "arm64" : name(\.machine),
      cores: info.processorCount, memoryMegabytes: Int(info.physicalMemory / 1_048_576), os: system)
  }

  static func reading(since start: ContinuousClock.Instant) -> BenchmarkRun.Reading {
    BenchmarkRun.Reading(
      seconds: (ContinuousClock.now - start).milliseconds / 1e3, megabytes: megabytesInUse,
      thermalState: thermalState(ProcessInfo.processInfo.thermalState))
  }

  /// Of the app, as the system counts them against its limit; 0 where it does not tell.
  static var megabytesInUse: Double {
    var info = task_vm_info_data_t()
    var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
    let result = withUnsafeMutablePointer(to: &info) { info in
      info.withMemoryRebound(to: integer_t.self, capacity: Int(count)) { numbers in
        task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), numbers, &count)
      }
    }
    guard result == KERN_SUCCESS else { return 0 }
    return (Double(info.phys_footprint) / 1e5).rounded() / 10
  }

  private static func thermalState(_ state: ProcessInfo.ThermalState) -> BenchmarkRun.ThermalState {
    switch state {
    case .nominal: .nominal
    case .fair: .fair
    case .serious: .serious
    case .critical: .critical
    @unknown default: .critical
    }
  }

  /// A simulator's times are the Mac's.
  private static var simulated: String? {
    ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"].map { "\($0) (simulator)" }
  }

  private static func name<Field>(_ field: KeyPath<utsname, Field>) -> String {
    var about = utsname()
    uname(&about)
    return withUnsafeBytes(of: about[keyPath: field]) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
