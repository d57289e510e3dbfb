// The kernel's own account of an app's memory.
public typealias natural_t = UInt32
public typealias integer_t = Int32
public typealias kern_return_t = Int32
public typealias task_flavor_t = UInt32
public typealias task_name_t = UInt32
public typealias mach_msg_type_number_t = UInt32
public typealias task_info_t = UnsafeMutablePointer<integer_t>

public struct task_vm_info_data_t {
  public var phys_footprint: UInt64
  public init() { phys_footprint = 0 }
}

public let TASK_VM_INFO: Int32 = 22
public let KERN_SUCCESS: Int32 = 0
public let mach_task_self_: task_name_t = 0

public func task_info(
  _ target: task_name_t, _ flavor: task_flavor_t, _ info: task_info_t,
  _ count: UnsafeMutablePointer<mach_msg_type_number_t>
) -> kern_return_t { fatalError() }
