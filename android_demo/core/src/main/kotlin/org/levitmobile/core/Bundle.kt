package org.levitmobile.core

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.DigestInputStream
import java.security.MessageDigest

/** Where a bundle's files lie: a folder, or an app's assets. */
interface BundleSource {
    /** Of the bundle's folder. */
    val name: String

    /** @throws IOException if there is no such file */
    fun open(file: String): InputStream
}

/** A folder of the file system. */
class FolderSource(private val folder: File) : BundleSource {
    override val name: String = folder.name

    override fun open(file: String): InputStream = File(folder, file).inputStream()
}

/**
 * A bundle whose files are all there and unchanged.
 *
 * @property artifact the file that a runtime opens
 * @property golden drawn pictures, and what PyTorch makes of them
 */
class Bundle private constructor(val name: String, val manifest: Manifest, val artifact: File, val golden: Golden) {
    companion object {
        private const val MOST = 16L shl 20 // bytes; what is larger is no manifest

        /** @throws BundleException if there is no manifest, or none that this app reads */
        fun manifest(source: BundleSource): Manifest {
            val bytes =
                try {
                    source.open(Manifest.NAME).use { it.readBytes() }
                } catch (error: IOException) {
                    throw BundleException("${source.name} is no bundle: ${Manifest.NAME} cannot be read", error)
                }
            if (bytes.size > MOST) throw BundleException("${Manifest.NAME} is too large")
            return Manifest.parse(bytes.decodeToString())
        }

        /**
         * Check every file, and put the artifact into [cache], since runtimes open files and not assets. It is copied once:
         * its name there has its digest.
         *
         * @throws BundleException if something is missing, changed or unknown
         */
        fun open(source: BundleSource, cache: File): Bundle {
            val manifest = manifest(source)
            val facts = manifest.files.getValue(manifest.artifact)
            val artifact = File(cache, "${facts.sha256}.${manifest.artifact.substringAfterLast('.')}")
            for ((name, wanted) in manifest.files) {
                if (name == manifest.artifact) keep(source, name, wanted, artifact) else check(source, name, wanted)
            }
            val golden = source.open(Manifest.GOLDEN).use { Golden.read(it) }
            golden.check(manifest)
            return Bundle(source.name, manifest, artifact, golden)
        }

        private fun keep(source: BundleSource, name: String, wanted: FileFacts, file: File) {
            file.parentFile?.mkdirs()
            if (file.length() == wanted.bytes) {
                check(FolderSource(file.parentFile ?: file), file.name, wanted, name)
                return
            }
            val part = File(file.path + ".part")
            try {
                check(source, name, wanted) { input -> part.outputStream().use { input.copyTo(it) } }
                if (!part.renameTo(file)) throw BundleException("$name cannot be copied to $file")
            } finally {
                part.delete()
            }
        }

        private fun check(
            source: BundleSource,
            name: String,
            wanted: FileFacts,
            called: String = name,
            read: (InputStream) -> Unit = { input -> input.copyTo(Nowhere) }
        ) {
            val digest = MessageDigest.getInstance("SHA-256")
            val counted = Counted(digest)
            try {
                source.open(name).use { stream -> read(counted.around(stream)) }
            } catch (error: IOException) {
                throw CorruptBundleException("$called is missing, or cannot be read (${error.message})")
            }
            if (counted.bytes != wanted.bytes) {
                throw CorruptBundleException("$called has ${counted.bytes} bytes, the manifest says ${wanted.bytes}")
            }
            if (digest.digest().hex() != wanted.sha256) {
                throw CorruptBundleException("$called was changed: its sha256 is not the manifest's")
            }
        }
    }
}

private object Nowhere : java.io.OutputStream() {
    override fun write(byte: Int) = Unit

    override fun write(bytes: ByteArray, from: Int, count: Int) = Unit
}

private class Counted(private val digest: MessageDigest) {
    var bytes = 0L
        private set

    fun around(stream: InputStream): InputStream = object : DigestInputStream(stream, digest) {
        override fun read(): Int = super.read().also { if (it >= 0) bytes++ }

        override fun read(into: ByteArray, from: Int, count: Int): Int =
            super.read(into, from, count).also { if (it > 0) bytes += it }
    }
}
