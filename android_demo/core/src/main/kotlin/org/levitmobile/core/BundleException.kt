package org.levitmobile.core

/** A bundle that cannot be used; the message says what is wrong with it, for people. */
open class BundleException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** Its files are not those that its manifest lists: a copy that was cut short, or changed since. */
class CorruptBundleException(message: String) : BundleException(message)
