// What Foundation has on Apple's systems and not on Linux. Imported into every file of the app.
@_exported import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [String: Any]

public struct LocalizedStringResource: ExpressibleByStringInterpolation, Equatable, Sendable {
  public init(stringLiteral value: String) {}
}

extension String {
  public struct LocalizationValue: ExpressibleByStringInterpolation, Equatable, Sendable {
    public init(stringLiteral value: String) {}
  }

  public init(localized key: LocalizationValue) { fatalError() }
}

extension ProcessInfo {
  public enum ThermalState: Int, Sendable {
    case nominal, fair, serious, critical
  }

  public var thermalState: ThermalState { fatalError() }
}

public struct NSKeyValueObservingOptions: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }
  public static let new = Self(rawValue: 1)
  public static let initial = Self(rawValue: 4)
}

public struct NSKeyValueObservedChange<Value> {}

public final class NSKeyValueObservation: NSObject {}

public protocol KeyValueObserving {}

extension NSObject: KeyValueObserving {}

extension KeyValueObserving where Self: NSObject {
  public func observe<Value>(
    _ keyPath: KeyPath<Self, Value>, options: NSKeyValueObservingOptions = [],
    changeHandler: @escaping @Sendable (Self, NSKeyValueObservedChange<Value>) -> Void
  ) -> NSKeyValueObservation { fatalError() }
}
