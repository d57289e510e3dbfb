import Foundation

/// An `.npz`: a zip of arrays, as `numpy.savez` and `numpy.savez_compressed` write it.
struct NumPyArchive {
  /// It is not one, or not whole; `problem` says in what.
  struct Damaged: Error {
    let problem: String
  }

  struct Array {
    /// As NumPy writes it: "|u1", "<f4".
    let type: String
    let shape: [Int]
    let bytes: ArraySlice<UInt8>
  }

  private let data: [UInt8]
  private var entries: [String: Entry] = [:]

  private struct Entry {
    let method: Int
    let packed: Int
    let size: Int
    let offset: Int
  }

  /// Golden inputs have a few megabytes.
  private static let largest = 1 << 28

  init(_ data: Data) throws {
    self.data = [UInt8](data)
    // The directory is told of at the very end, for NumPy writes no comment behind it.
    let end = self.data.count - 22
    guard end >= 0, try number(at: end, 4) == 0x0605_4b50 else { throw Damaged(problem: "it is no zip") }
    var at = try number(at: end + 16, 4)
    for _ in 0..<(try number(at: end + 10, 2)) {
      guard try number(at: at, 4) == 0x0201_4b50 else { throw Damaged(problem: "its directory is damaged") }
      let (name, extra, comment) = try (number(at: at + 28, 2), number(at: at + 30, 2), number(at: at + 32, 2))
      let entry = try Entry(
        method: number(at: at + 10, 2), packed: number(at: at + 20, 4), size: number(at: at + 24, 4),
        offset: number(at: at + 42, 4))
      entries[String(decoding: try part(at + 46, name), as: UTF8.self)] = entry
      at += 46 + name + extra + comment
    }
  }

  func array(_ name: String) throws -> Array {
    guard let entry = entries["\(name).npy"] else { throw Damaged(problem: "\(name) is not in it") }
    let start = try entry.offset + 30 + number(at: entry.offset + 26, 2) + number(at: entry.offset + 28, 2)
    let packed = try part(start, entry.packed)
    guard entry.size <= Self.largest else { throw Damaged(problem: "\(name) is too large") }
    switch entry.method {
    case 0: return try Self.parse(packed, name)
    case 8:
      guard let bytes = try? Inflate.bytes(packed, size: entry.size) else {
        throw Damaged(problem: "\(name) cannot be unpacked")
      }
      return try Self.parse(bytes[...], name)
    default: throw Damaged(problem: "\(name) is packed in an unknown way")
    }
  }

  private func part(_ start: Int, _ count: Int) throws -> ArraySlice<UInt8> {
    guard start >= 0, count >= 0, count <= data.count, start <= data.count - count else {
      throw Damaged(problem: "it is cut short")
    }
    return data[start..<start + count]
  }

  private func number(at start: Int, _ bytes: Int) throws -> Int {
    try part(start, bytes).reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private static func parse(_ bytes: ArraySlice<UInt8>, _ name: String) throws -> Array {
    let damaged = Damaged(problem: "\(name) is no array of NumPy's")
    let start = bytes.startIndex
    guard bytes.count >= 12, bytes.prefix(6).elementsEqual([0x93] + "NUMPY".utf8) else { throw damaged }
    // The header's length has two bytes in version 1, and four later.
    let width = bytes[start + 6] == 1 ? 2 : 4
    let length = bytes[(start + 8)..<(start + 8 + width)].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= bytes.count - 8 - width else { throw damaged }
    let body = start + 8 + width + length
    let header = String(decoding: bytes[(start + 8 + width)..<body], as: UTF8.self)
    let fields = #/'descr': '([^']+)', 'fortran_order': False, 'shape': \(([0-9, ]*)\)/#
    guard let match = header.firstMatch(of: fields) else { throw damaged }
    let shape = match.2.split { !$0.isNumber }.compactMap { Int($0) }
    return Array(type: String(match.1), shape: shape, bytes: bytes[body...])
  }
}
