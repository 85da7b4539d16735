package forebay.interop;

import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.LeaseCleanupConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.CoordinatorConfig.ClientVersionConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** KCL 3.x either lives with a 2.x fleet or assigns leases by a leader. */
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
                configs.applicationName(),
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
        coordinator.clientVersionConfig(
                switch (arguments.text("mode")) {
                    case "2x" -> ClientVersionConfig.CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X;
                    case "3x" -> ClientVersionConfig.CLIENT_VERSION_CONFIG_3X;
                    default -> throw new IllegalArgumentException("mode is 2x or 3x");
                });
        // How long a dead leader keeps the others waiting; 120 s by default.
        long lock = arguments.number("lock");
        leases.dynamoDbLockBasedLeaderLeaseDurationInMillis(lock).dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(lock / 4);
    }
}
