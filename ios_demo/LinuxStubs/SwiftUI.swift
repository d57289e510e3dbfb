@_exported import AppleFoundation
@_exported import CoreGraphics
@_exported import Observation
import UIKit

// Views and what they are built from.

@MainActor @preconcurrency
public protocol View {
  associatedtype Body: View
  @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}

extension Never: View {
  public var body: Never { fatalError() }
}

/// A view without parts. Where a modifier's result would be a type of its own, it is one of these.
@MainActor @preconcurrency
public struct EmptyView: View {
  nonisolated public init() {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct TupleView<T>: View {
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct ConditionalContent<First: View, Second: View>: View {
  public var body: Never { fatalError() }
}

extension Optional: View where Wrapped: View {
  public var body: Never { fatalError() }
}

@resultBuilder
public struct ViewBuilder {
  public static func buildBlock() -> EmptyView { fatalError() }
  public static func buildBlock<Content: View>(_ content: Content) -> Content { fatalError() }
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> TupleView<(repeat each Content)>
  {
    fatalError()
  }
  public static func buildExpression<Content: View>(_ content: Content) -> Content { fatalError() }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { fatalError() }
  public static func buildEither<First: View, Second: View>(first: First) -> ConditionalContent<First, Second> {
    fatalError()
  }
  public static func buildEither<First: View, Second: View>(second: Second) -> ConditionalContent<First, Second> {
    fatalError()
  }
}

@MainActor @preconcurrency
public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}

extension App {
  public static func main() {}
}

@MainActor @preconcurrency
public protocol Scene {}

@resultBuilder
public struct SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { fatalError() }
}

@MainActor @preconcurrency
public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: () -> Content) {}
}

// State.

@propertyWrapper
public struct State<Value> {
  public init(wrappedValue: Value) {}
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<Value> { fatalError() }
}

extension State {
  public init<Held>() where Value == Held? {}
}

@propertyWrapper
@dynamicMemberLookup
public struct Binding<Value> {
  public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {}
  public var wrappedValue: Value {
    get { fatalError() }
    nonmutating set {}
  }
  public var projectedValue: Binding<Value> { fatalError() }
  public subscript<Part>(dynamicMember path: WritableKeyPath<Value, Part>) -> Binding<Part> { fatalError() }
}

@propertyWrapper
@dynamicMemberLookup
public struct Bindable<Value> {
  public init(wrappedValue: Value) where Value: AnyObject, Value: Observable {}
  public var wrappedValue: Value { fatalError() }
  public var projectedValue: Bindable<Value> { fatalError() }
  public subscript<Part>(dynamicMember path: ReferenceWritableKeyPath<Value, Part>) -> Binding<Part> { fatalError() }
}

@propertyWrapper
public struct Environment<Value> {
  public init(_ path: KeyPath<EnvironmentValues, Value>) {}
  public init(_ type: Value.Type) where Value: AnyObject, Value: Observable {}
  public var wrappedValue: Value { fatalError() }
}

public enum ScenePhase: Comparable, Sendable {
  case background, inactive, active
}

public enum UserInterfaceSizeClass: Sendable {
  case compact, regular
}

@MainActor @preconcurrency
public struct OpenURLAction: Sendable {
  public func callAsFunction(_ url: URL) {}
}

public struct EnvironmentValues: Sendable {
  public var scenePhase: ScenePhase { fatalError() }
  public var verticalSizeClass: UserInterfaceSizeClass? { fatalError() }
  public var openURL: OpenURLAction { fatalError() }
}

// Texts, pictures, controls.

public struct LocalizedStringKey: ExpressibleByStringInterpolation, Equatable {
  public init(stringLiteral value: String) {}
}

@MainActor @preconcurrency
public struct Text: View, Equatable {
  nonisolated public init(_ key: LocalizedStringKey) {}
  @_disfavoredOverload
  nonisolated public init(_ resource: LocalizedStringResource) {}
  @_disfavoredOverload
  nonisolated public init<S: StringProtocol>(_ content: S) {}
  nonisolated public init(verbatim content: String) {}
  nonisolated public func fontWeight(_ weight: Font.Weight?) -> Text { fatalError() }
  nonisolated public func monospacedDigit() -> Text { fatalError() }
  public var body: Never { fatalError() }
}

public struct Font: Sendable {
  public enum Weight: Sendable {
    case regular, semibold
  }

  public static let footnote = Font()
}

@MainActor @preconcurrency
public struct Image: View {
  public init(systemName: String) {}
  public init(uiImage: UIImage) {}
  public func resizable() -> Image { fatalError() }
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct Label<Title: View, Icon: View>: View {
  public init(@ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {}
  public var body: Never { fatalError() }
}

extension Label where Title == Text, Icon == Image {
  public init(_ key: LocalizedStringKey, systemImage: String) {}
}

public enum ButtonRole: Sendable {
  case cancel, destructive
}

@MainActor @preconcurrency
public struct Button<Label: View>: View {
  public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) {}
  public var body: Never { fatalError() }
}

extension Button where Label == Text {
  public init(_ key: LocalizedStringKey, action: @escaping @MainActor () -> Void) {}
  public init(_ key: LocalizedStringKey, role: ButtonRole?, action: @escaping @MainActor () -> Void) {}
}

@MainActor @preconcurrency
public struct Picker<Label: View, Selection: Hashable, Content: View>: View {
  public var body: Never { fatalError() }
}

extension Picker where Label == Text {
  public init(_ key: LocalizedStringKey, selection: Binding<Selection>, @ViewBuilder content: () -> Content) {}
}

@MainActor @preconcurrency
public struct ProgressView<Label: View>: View {
  public var body: Never { fatalError() }
}

extension ProgressView where Label == EmptyView {
  public init() {}
  public init<V: BinaryFloatingPoint>(value: V?, total: V = 1) {}
}

extension ProgressView where Label == Text {
  public init(_ key: LocalizedStringKey) {}
}

public protocol Transferable {}
extension URL: Transferable {}
extension Data: Transferable {}

@MainActor @preconcurrency
public struct ShareLink<Item: Transferable>: View {
  public init(_ key: LocalizedStringKey, item: Item) {}
  public var body: Never { fatalError() }
}

// Containers.

@MainActor @preconcurrency
public struct Group<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
  public var body: Never { fatalError() }
}

extension ForEach {
  public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content)
  where Data.Element: Identifiable, ID == Data.Element.ID {}
  public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {}
}

public enum HorizontalAlignment: Sendable {
  case leading, center, trailing
}

public enum VerticalAlignment: Sendable {
  case top, center, bottom, firstTextBaseline
}

@MainActor @preconcurrency
public struct VStack<Content: View>: View {
  public init(
    alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
  ) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct HStack<Content: View>: View {
  public init(alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct ZStack<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct Spacer: View {
  public init() {}
  public var body: Never { fatalError() }
}

public protocol Layout {}

public struct HStackLayout: Layout {
  public init(alignment: VerticalAlignment = .center, spacing: CGFloat? = nil) {}
}

public struct VStackLayout: Layout {
  public init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil) {}
}

@MainActor @preconcurrency
public struct AnyLayout: Layout {
  nonisolated public init<L: Layout>(_ layout: L) {}
  public func callAsFunction<V: View>(@ViewBuilder _ content: () -> V) -> some View { EmptyView() }
}

@MainActor @preconcurrency
public struct List<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct Form<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct Section<Parent: View, Content: View, Footer: View>: View {
  public var body: Never { fatalError() }
}

extension Section {
  public init(
    @ViewBuilder content: () -> Content, @ViewBuilder header: () -> Parent, @ViewBuilder footer: () -> Footer
  ) {}
}

extension Section where Parent == EmptyView {
  public init(@ViewBuilder content: () -> Content, @ViewBuilder footer: () -> Footer) {}
}

extension Section where Parent == EmptyView, Footer == EmptyView {
  public init(@ViewBuilder content: () -> Content) {}
}

extension Section where Parent == Text, Footer == EmptyView {
  public init(_ key: LocalizedStringKey, @ViewBuilder content: () -> Content) {}
}

@MainActor @preconcurrency
public struct LabeledContent<Label: View, Content: View>: View {
  public var body: Never { fatalError() }
}

extension LabeledContent where Label == Text {
  public init(_ key: LocalizedStringKey, @ViewBuilder content: () -> Content) {}
}

@MainActor @preconcurrency
public struct TabView<Selection: Hashable, Content: View>: View {
  public var body: Never { fatalError() }
}

extension TabView where Selection == Int {
  public init(@ViewBuilder content: () -> Content) {}
}

@MainActor @preconcurrency
public struct NavigationStack<Content: View>: View {
  public init(@ViewBuilder root: () -> Content) {}
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct GeometryReader<Content: View>: View {
  public init(@ViewBuilder content: @escaping (GeometryProxy) -> Content) {}
  public var body: Never { fatalError() }
}

public struct GeometryProxy {
  public var size: CGSize { fatalError() }
}

@MainActor @preconcurrency
public struct ContentUnavailableView<Label: View, Description: View, Actions: View>: View {
  public init(
    @ViewBuilder label: () -> Label, @ViewBuilder description: () -> Description = { EmptyView() },
    @ViewBuilder actions: () -> Actions = { EmptyView() }
  ) {}
  public var body: Never { fatalError() }
}

extension ContentUnavailableView where Label == SwiftUI.Label<Text, Image>, Description == Text?, Actions == EmptyView {
  public init(_ title: LocalizedStringKey, systemImage name: String, description: Text? = nil) {}
}

// Shapes and colours.

public protocol ShapeStyle: Sendable {}

@MainActor @preconcurrency
public struct Color: View, ShapeStyle, Hashable {
  nonisolated public static let accentColor = Color()
  nonisolated public static let secondary = Color()
  nonisolated public static let black = Color()
  nonisolated public static let clear = Color()
  nonisolated public static let white = Color()
  nonisolated public static let red = Color()
  nonisolated public static let green = Color()
  nonisolated public static let orange = Color()
  nonisolated init() {}
  nonisolated public init(uiColor: UIColor) {}
  nonisolated public func opacity(_ opacity: Double) -> Color { fatalError() }
  public var body: Never { fatalError() }
}

extension ShapeStyle where Self == Color {
  public static var white: Color { fatalError() }
  public static var red: Color { fatalError() }
  public static var green: Color { fatalError() }
  public static var orange: Color { fatalError() }
}

public struct HierarchicalShapeStyle: ShapeStyle {}

extension ShapeStyle where Self == HierarchicalShapeStyle {
  public static var secondary: HierarchicalShapeStyle { fatalError() }
}

@MainActor @preconcurrency
public struct RoundedRectangle: View {
  public init(cornerRadius: CGFloat) {}
  public func stroke<S: ShapeStyle>(_ content: S, lineWidth: CGFloat = 1) -> some View { EmptyView() }
  public var body: Never { fatalError() }
}

// Modifiers.

public enum ContentMode: Sendable {
  case fit, fill
}

public struct Alignment: Sendable {
  public static let center = Alignment()
}

public protocol PickerStyle {}
public struct SegmentedPickerStyle: PickerStyle {}
public struct InlinePickerStyle: PickerStyle {}
extension PickerStyle where Self == SegmentedPickerStyle {
  public static var segmented: Self { fatalError() }
}
extension PickerStyle where Self == InlinePickerStyle {
  public static var inline: Self { fatalError() }
}

public protocol ListStyle {}
public struct PlainListStyle: ListStyle {}
extension ListStyle where Self == PlainListStyle {
  public static var plain: Self { fatalError() }
}

public protocol PrimitiveButtonStyle {}
public struct BorderedProminentButtonStyle: PrimitiveButtonStyle {}
extension PrimitiveButtonStyle where Self == BorderedProminentButtonStyle {
  public static var borderedProminent: Self { fatalError() }
}

public enum ControlSize: Sendable {
  case mini, small, regular, large
}

public struct AccessibilityTraits: SetAlgebra, Sendable {
  public static let isImage = AccessibilityTraits()
  public static let updatesFrequently = AccessibilityTraits()
  public typealias Element = AccessibilityTraits
  public init() {}
  public func contains(_ member: AccessibilityTraits) -> Bool { fatalError() }
  public func union(_ other: AccessibilityTraits) -> AccessibilityTraits { fatalError() }
  public func intersection(_ other: AccessibilityTraits) -> AccessibilityTraits { fatalError() }
  public func symmetricDifference(_ other: AccessibilityTraits) -> AccessibilityTraits { fatalError() }
  public mutating func insert(_ member: AccessibilityTraits) -> (
    inserted: Bool, memberAfterInsert: AccessibilityTraits
  ) {
    fatalError()
  }
  public mutating func remove(_ member: AccessibilityTraits) -> AccessibilityTraits? { fatalError() }
  public mutating func update(with member: AccessibilityTraits) -> AccessibilityTraits? { fatalError() }
  public mutating func formUnion(_ other: AccessibilityTraits) {}
  public mutating func formIntersection(_ other: AccessibilityTraits) {}
  public mutating func formSymmetricDifference(_ other: AccessibilityTraits) {}
}

public enum AccessibilityChildBehavior: Sendable {
  case ignore, contain, combine
}

@MainActor
public enum NavigationBarItem {
  public enum TitleDisplayMode: Sendable {
    case automatic, inline, large
  }
}

public struct ToolbarItemPlacement: Sendable {
  public static let principal = ToolbarItemPlacement()
  public static let primaryAction = ToolbarItemPlacement()
}

@MainActor @preconcurrency
public protocol ToolbarContent {}
extension Optional: ToolbarContent where Wrapped: ToolbarContent {}

@MainActor @preconcurrency
public struct ToolbarItem<Content: View>: ToolbarContent {
  public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) {}
}

@resultBuilder
public struct ToolbarContentBuilder {
  public static func buildBlock<Content: ToolbarContent>(_ content: Content) -> Content { fatalError() }
  public static func buildExpression<Content: ToolbarContent>(_ content: Content) -> Content { fatalError() }
  public static func buildIf<Content: ToolbarContent>(_ content: Content?) -> Content? { fatalError() }
}

extension View {
  public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { EmptyView() }
  public func accessibilityElement(children: AccessibilityChildBehavior = .ignore) -> some View { EmptyView() }
  public func accessibilityHidden(_ hidden: Bool) -> some View { EmptyView() }
  public func accessibilityLabel(_ key: LocalizedStringKey) -> some View { EmptyView() }
  public func accessibilityLabel(_ label: Text) -> some View { EmptyView() }
  public func accessibilityValue(_ value: Text) -> some View { EmptyView() }
  public func allowsHitTesting(_ enabled: Bool) -> some View { EmptyView() }
  public func aspectRatio(_ ratio: CGFloat? = nil, contentMode: ContentMode) -> some View { EmptyView() }
  public func buttonStyle<S: PrimitiveButtonStyle>(_ style: S) -> some View { EmptyView() }
  public func clipped() -> some View { EmptyView() }
  public func controlSize(_ size: ControlSize) -> some View { EmptyView() }
  public func environment<T: AnyObject & Observable>(_ object: T?) -> some View { EmptyView() }
  public func font(_ font: Font?) -> some View { EmptyView() }
  public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { EmptyView() }
  public func frame(width: CGFloat? = nil, height: CGFloat? = nil, alignment: Alignment = .center) -> some View {
    EmptyView()
  }
  public func frame(
    minWidth: CGFloat? = nil, idealWidth: CGFloat? = nil, maxWidth: CGFloat? = nil, minHeight: CGFloat? = nil,
    idealHeight: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center
  ) -> some View { EmptyView() }
  public func labelsHidden() -> some View { EmptyView() }
  public func layoutPriority(_ value: Double) -> some View { EmptyView() }
  public func listStyle<S: ListStyle>(_ style: S) -> some View { EmptyView() }
  public func monospacedDigit() -> some View { EmptyView() }
  public func navigationBarTitleDisplayMode(_ mode: NavigationBarItem.TitleDisplayMode) -> some View { EmptyView() }
  public func navigationTitle(_ key: LocalizedStringKey) -> some View { EmptyView() }
  public func onChange<V: Equatable>(
    of value: V, initial: Bool = false, _ action: @escaping (_ old: V, _ new: V) -> Void
  ) -> some View { EmptyView() }
  public func overlay<V: View>(alignment: Alignment = .center, @ViewBuilder content: () -> V) -> some View {
    EmptyView()
  }
  public func padding(_ length: CGFloat? = nil) -> some View { EmptyView() }
  public func pickerStyle<S: PickerStyle>(_ style: S) -> some View { EmptyView() }
  public func scaledToFill() -> some View { EmptyView() }
  public func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> some View { EmptyView() }
  public func tag<V: Hashable>(_ tag: V) -> some View { EmptyView() }
  public func task(
    priority: TaskPriority = .userInitiated, @_inheritActorContext _ action: @escaping @Sendable () async -> Void
  ) -> some View { EmptyView() }
  public func task<T: Equatable>(
    id value: T, priority: TaskPriority = .userInitiated,
    @_inheritActorContext _ action: @escaping @Sendable () async -> Void
  ) -> some View { EmptyView() }
  public func textCase(_ textCase: TextCase?) -> some View { EmptyView() }
  public func tint(_ tint: Color?) -> some View { EmptyView() }
  public func toolbar<Content: ToolbarContent>(@ToolbarContentBuilder content: () -> Content) -> some View {
    EmptyView()
  }
}

public enum TextCase: Sendable {
  case uppercase, lowercase
}

// Views of UIKit.

@MainActor @preconcurrency
public protocol UIViewRepresentable: View where Body == Never {
  associatedtype UIViewType: UIView
  typealias Context = UIViewRepresentableContext<Self>
  func makeUIView(context: Context) -> UIViewType
  func updateUIView(_ view: UIViewType, context: Context)
}

extension UIViewRepresentable {
  public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public struct UIViewRepresentableContext<Representable: UIViewRepresentable> {}
