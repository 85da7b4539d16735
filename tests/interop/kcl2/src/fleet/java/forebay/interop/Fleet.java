package forebay.interop;

import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.LeaseCleanupConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** KCL 2.x has one way to share a stream. */
final class Fleet {
    private Fleet() {}

    /** The library has no setter for when leases of ended shards are deleted. */
    static LeaseManagementConfig leases(ConfigsBuilder configs, Arguments arguments) {
        long interval = arguments.number("cleanup");
        LeaseCleanupConfig cleanup = LeaseCleanupConfig.builder()
                .leaseCleanupIntervalMillis(interval)
                .completedLeaseCleanupIntervalMillis(5 * interval)
                .garbageLeaseCleanupIntervalMillis(30 * interval)
                .build();
        return new LeaseManagementConfig(
                configs.tableName(),
                configs.dynamoDBClient(),
                configs.kinesisClient(),
                configs.workerIdentifier()) {
            @Override
            public LeaseCleanupConfig leaseCleanupConfig() {
                return cleanup;
            }
        };
    }

    static void join(CoordinatorConfig coordinator, LeaseManagementConfig leases, Arguments arguments) {
        if (!arguments.text("mode").equals("2x")) {
            throw new IllegalArgumentException("KCL 2.x knows mode=2x only");
        }
    }
}
