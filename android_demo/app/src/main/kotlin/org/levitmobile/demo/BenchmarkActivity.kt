package org.levitmobile.demo

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Bundle
import android.view.WindowManager
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread
import org.levitmobile.core.Benchmark
import org.levitmobile.core.BenchmarkRun
import org.levitmobile.core.BundleException
import org.levitmobile.core.RuntimeFailure
import org.levitmobile.core.Settings

/** Latency of one bundle on this phone, as `levit bench` measures it; the results are a file that `levit report` reads. */
internal class BenchmarkActivity : Activity() {
    private val store by lazy { BundleStore(this) }
    private val results by lazy { ResultFiles(this) }
    private var request: BenchmarkRequest? = null
    private var stopped: AtomicBoolean? = null // of the run that goes on; null: none does

    @Volatile
    private var inFront = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        @Suppress("DEPRECATION") // their successors are of Android 8.1
        window.addFlags(
            WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON or
                WindowManager.LayoutParams.FLAG_SHOW_WHEN_LOCKED or
                WindowManager.LayoutParams.FLAG_TURN_SCREEN_ON
        )
        setContentView(R.layout.activity_benchmark)
        view<Button>(R.id.start).setOnClickListener { startOrStop() }
        view<Button>(R.id.share).setOnClickListener { share() }
        open(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        if (stopped == null) open(intent)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
    }

    override fun onPause() {
        inFront = false
        super.onPause()
    }

    override fun onDestroy() {
        stopped?.set(true)
        super.onDestroy()
    }

    private fun open(intent: Intent) {
        val asked = BenchmarkRequest.of(intent)
        request = asked
        view<Button>(R.id.start).isEnabled = asked != null
        if (asked == null) return say(getString(R.string.no_model))
        val (threads, accelerator) = asked.settings.threads to getString(asked.accelerator.label)
        val name = asked.bundle.substringAfterLast('/')
        view<TextView>(R.id.subject).text = getString(R.string.benchmark_of, name, accelerator, threads)
        say(getString(R.string.benchmark_ready, asked.settings.minRuns, asked.settings.minS))
        if (asked.id != null) startOrStop()
    }

    private fun startOrStop() {
        val going = stopped
        if (going != null) {
            going.set(true)
            return
        }
        val request = request ?: return
        val stop = AtomicBoolean(false)
        stopped = stop
        view<Button>(R.id.start).setText(R.string.stop)
        view<Button>(R.id.share).isEnabled = false
        view<LinearLayout>(R.id.figures).removeAllViews()
        view<TextView>(R.id.doubts).text = ""
        say(getString(R.string.benchmark_warming))
        thread(name = "benchmark") { measure(request, stop) }
    }

    /** On a thread of its own. */
    private fun measure(request: BenchmarkRequest, stop: AtomicBoolean) {
        try {
            val source = store.find(request.bundle) ?: throw BundleException(getString(R.string.no_model))
            val bundle = store.open(source)
            val benchmark = Benchmark(bundle, request.settings, ThisPhone(this) { inFront })
            val run =
                benchmark.run(
                    open = { openRuntime(this, bundle, request.accelerator, request.settings.threads) },
                    progress = { count, ms -> tell { say(getString(R.string.benchmark_running, count, ms)) } },
                    stopped = stop::get
                )
            results.write(run, request.id)
            tell { show(run) }
        } catch (error: BundleException) {
            fail(request, error)
        } catch (error: RuntimeFailure) {
            fail(request, error)
        } catch (error: RuntimeException) { // of a runtime that loaded, and then failed
            fail(request, error)
        }
    }

    private fun fail(request: BenchmarkRequest, error: Exception) {
        val message = describe(this, error)
        request.id?.let { results.writeFailure(error.message ?: error.toString(), it) }
        tell {
            ended()
            say(message)
        }
    }

    private fun tell(what: () -> Unit) = runOnUiThread { if (!isDestroyed) what() }

    private fun ended() {
        stopped = null
        view<Button>(R.id.start).setText(R.string.start)
    }

    private fun say(text: String) {
        view<TextView>(R.id.progress).text = text
    }

    private fun show(run: BenchmarkRun) {
        ended()
        say(getString(if (run.complete) R.string.benchmark_done else R.string.benchmark_stopped))
        val rows = view<LinearLayout>(R.id.figures)
        figuresOf(this, run).forEachIndexed { index, (name, value) ->
            layoutInflater.inflate(R.layout.row_figure, rows)
            val row = rows.getChildAt(index)
            row.view<TextView>(R.id.figure_name).setText(name)
            row.view<TextView>(R.id.figure_value).text = value
        }
        val doubts = run.invalid.joinToString("\n") { getString(R.string.benchmark_invalid, it) }
        view<TextView>(R.id.doubts).text = doubts
        view<Button>(R.id.share).isEnabled = true
    }

    private fun share() {
        val name = request?.bundle?.substringAfterLast('/')
        val send =
            Intent(Intent.ACTION_SEND)
                .setType(ResultsProvider.TYPE)
                .putExtra(Intent.EXTRA_STREAM, ResultsProvider.uri(this, results.latest.name))
                .putExtra(Intent.EXTRA_SUBJECT, getString(R.string.share_subject, name))
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        startActivity(Intent.createChooser(send, null))
    }

    companion object {
        fun intent(context: Context, choice: Choice): Intent {
            val settings = Settings(threads = choice.threads)
            val name = choice.source.name
            return BenchmarkRequest(name, choice.accelerator, settings, null).into(Intent(context, BenchmarkActivity::class.java))
        }
    }
}
