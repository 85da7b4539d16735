package forebay.interop;

import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.InvalidStateException;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.KinesisClientLibDependencyException;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.ShutdownException;
import com.amazonaws.services.kinesis.clientlibrary.exceptions.ThrottlingException;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.IRecordProcessorCheckpointer;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IRecordProcessor;
import com.amazonaws.services.kinesis.clientlibrary.interfaces.v2.IShutdownNotificationAware;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.InitialPositionInStream;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.KinesisClientLibConfiguration;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.ShutdownReason;
import com.amazonaws.services.kinesis.clientlibrary.lib.worker.Worker;
import com.amazonaws.services.kinesis.clientlibrary.types.InitializationInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ProcessRecordsInput;
import com.amazonaws.services.kinesis.clientlibrary.types.ShutdownInput;
import com.amazonaws.services.kinesis.clientlibrary.types.UserRecord;
import com.amazonaws.services.kinesis.metrics.impl.NullMetricsFactory;
import com.amazonaws.services.kinesis.model.Record;

/** Reads a stream with KCL 1.x. */
public final class Consumer {
    private Consumer() {}

    public static void main(String[] pairs) {
        Arguments arguments = new Arguments(pairs);
        AWSStaticCredentialsProvider credentials =
                new AWSStaticCredentialsProvider(new BasicAWSCredentials("AKIAEXAMPLE", "secret"));
        KinesisClientLibConfiguration configuration = new KinesisClientLibConfiguration(
                        arguments.text("application"), arguments.text("stream"), credentials, arguments.text("worker"))
                .withKinesisEndpoint(arguments.text("kinesis"))
                .withDynamoDBEndpoint(arguments.text("dynamodb"))
                .withRegionName("eu-west-1")
                .withInitialPositionInStream(InitialPositionInStream.valueOf(arguments.text("start")))
                .withFailoverTimeMillis(arguments.number("failover"))
                .withShardSyncIntervalMillis(arguments.number("sync"))
                .withIdleTimeBetweenReadsInMillis(arguments.number("idle"))
                .withLeaseCleanupIntervalMillis(arguments.number("cleanup"))
                .withCompletedLeaseCleanupThresholdMillis(5 * arguments.number("cleanup"))
                .withMetricsLevel("NONE");
        Worker worker = new Worker.Builder()
                .recordProcessorFactory(Processor::new)
                .config(configuration)
                .metricsFactory(new NullMetricsFactory())
                .build();
        Ledger.obey(() -> {
            try {
                Ledger.event("stopped", "-", worker.startGracefulShutdown().get());
            } catch (Exception failed) {
                Ledger.event("stopped", "-", failed);
            }
            System.exit(0);
        });
        Ledger.event("begin", "-");
        worker.run();
    }

    private static final class Processor implements IRecordProcessor, IShutdownNotificationAware {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.getShardId();
            Ledger.event(
                    "start",
                    shard,
                    input.getExtendedSequenceNumber().getSequenceNumber(),
                    input.getExtendedSequenceNumber().getSubSequenceNumber(),
                    input.getPendingCheckpointSequenceNumber() == null
                            ? "none"
                            : input.getPendingCheckpointSequenceNumber().getSequenceNumber());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            for (Record record : input.getRecords()) {
                long sub = record instanceof UserRecord user ? user.getSubSequenceNumber() : 0;
                Ledger.record(shard, record.getSequenceNumber(), sub, record.getData());
            }
            Ledger.flush();
            if (Ledger.onlyPrepares()) {
                write(() -> {
                    input.getCheckpointer().prepareCheckpoint();
                    Ledger.event("prepared", shard);
                });
            } else {
                checkpoint(input.getCheckpointer());
            }
        }

        @Override
        public void shutdownRequested(IRecordProcessorCheckpointer checkpointer) {
            Ledger.event("requested", shard);
            checkpoint(checkpointer);
        }

        @Override
        public void shutdown(ShutdownInput input) {
            if (input.getShutdownReason() == ShutdownReason.TERMINATE) {
                checkpoint(input.getCheckpointer());
                Ledger.event("ended", shard);
            } else {
                Ledger.event("lost", shard);
            }
        }

        private void checkpoint(IRecordProcessorCheckpointer checkpointer) {
            write(checkpointer::checkpoint);
        }

        private void write(Step step) {
            try {
                step.run();
            } catch (ShutdownException lost) {
                Ledger.event("fenced", shard);
            } catch (ThrottlingException | InvalidStateException | KinesisClientLibDependencyException failed) {
                Ledger.event("unsaved", shard, failed, failed.getCause());
            }
        }
    }

    private interface Step {
        void run()
                throws InvalidStateException, KinesisClientLibDependencyException, ThrottlingException,
                        ShutdownException;
    }
}
