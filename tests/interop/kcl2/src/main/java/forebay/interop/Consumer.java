package forebay.interop;

import java.net.URI;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.exceptions.ThrottlingException;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** Reads a stream with KCL 2.x; KCL 3.x compiles it too, with a {@code Fleet} of its own. */
public final class Consumer {
    private Consumer() {}

    public static void main(String[] pairs) {
        Arguments arguments = new Arguments(pairs);
        String stream = arguments.text("stream");
        KinesisAsyncClient kinesis = client(KinesisAsyncClient.builder(), arguments.text("kinesis"));
        DynamoDbAsyncClient dynamodb = client(DynamoDbAsyncClient.builder(), arguments.text("dynamodb"));
        // Never called: there are no metrics.
        CloudWatchAsyncClient cloudwatch = client(CloudWatchAsyncClient.builder(), arguments.text("dynamodb"));
        InitialPositionInStreamExtended start = InitialPositionInStreamExtended.newInitialPosition(
                InitialPositionInStream.valueOf(arguments.text("start")));
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, start),
                arguments.text("application"),
                kinesis,
                dynamodb,
                cloudwatch,
                arguments.text("worker"),
                Processor::new);
        PollingConfig polling = new PollingConfig(stream, kinesis);
        polling.idleTimeBetweenReadsInMillis(arguments.number("idle"));
        CoordinatorConfig coordinator = configs.coordinatorConfig();
        LeaseManagementConfig leases = Fleet.leases(configs, arguments)
                .failoverTimeMillis(arguments.number("failover"))
                .shardSyncIntervalMillis(arguments.number("sync"));
        Fleet.join(coordinator, leases, arguments);
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                coordinator,
                leases,
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(polling));
        Ledger.obey(() -> {
            try {
                Ledger.event("stopped", "-", scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS));
            } catch (Exception failed) {
                Ledger.event("stopped", "-", failed);
            }
            System.exit(0);
        });
        Ledger.event("begin", "-");
        scheduler.run();
    }

    private static <B extends AwsClientBuilder<B, C> & software.amazon.awssdk.awscore.client.builder.AwsAsyncClientBuilder<B, C>, C>
            C client(B builder, String endpoint) {
        return builder.endpointOverride(URI.create(endpoint))
                .region(Region.EU_WEST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("AKIAEXAMPLE", "secret")))
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1))
                .build();
    }

    private static final class Processor implements ShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
            Ledger.event(
                    "start",
                    shard,
                    input.extendedSequenceNumber().sequenceNumber(),
                    input.extendedSequenceNumber().subSequenceNumber(),
                    input.pendingCheckpointSequenceNumber() == null
                            ? "none"
                            : input.pendingCheckpointSequenceNumber().sequenceNumber());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            for (KinesisClientRecord record : input.records()) {
                Ledger.record(shard, record.sequenceNumber(), record.subSequenceNumber(), record.data());
            }
            Ledger.flush();
            if (Ledger.onlyPrepares()) {
                write(() -> {
                    input.checkpointer().prepareCheckpoint("state of the application".getBytes());
                    Ledger.event("prepared", shard);
                });
            } else {
                checkpoint(input.checkpointer());
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            Ledger.event("lost", shard);
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            checkpoint(input.checkpointer());
            Ledger.event("ended", shard);
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            Ledger.event("requested", shard);
            checkpoint(input.checkpointer());
        }

        private void checkpoint(RecordProcessorCheckpointer checkpointer) {
            write(checkpointer::checkpoint);
        }

        private void write(Step step) {
            try {
                step.run();
            } catch (ShutdownException lost) {
                Ledger.event("fenced", shard);
            } catch (ThrottlingException | InvalidStateException failed) {
                Ledger.event("unsaved", shard, failed, failed.getCause());
            }
        }
    }

    private interface Step {
        void run() throws InvalidStateException, ThrottlingException, ShutdownException;
    }
}
