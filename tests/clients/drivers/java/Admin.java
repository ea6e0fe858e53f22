// What a cluster answers to Apache Kafka's own admin client: each case is a verb of the driver and ends with an
// exception when an answer is not right. Every case has its own topic of three replicas.

import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.APPEND;
import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.DELETE;
import static org.apache.kafka.clients.admin.AlterConfigOp.OpType.SET;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.PartitionReassignment;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringSerializer;

class Admin implements AutoCloseable {
    static final Set<Integer> BROKERS = Set.of(1, 2, 3);
    static final int RECORDS = 100;

    final String bootstrap;
    final String topic;
    final TopicPartition first;
    final org.apache.kafka.clients.admin.Admin admin;

    Admin(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
        first = new TopicPartition(topic, 0);
        admin = org.apache.kafka.clients.admin.Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public void close() {
        admin.close(Duration.ZERO);
    }

    void run(String what) throws Exception {
        switch (what) {
            case "cluster" -> cluster();
            case "topics" -> topics();
            case "elect" -> elect();
            case "reassign" -> reassign();
            case "quorum" -> quorum();
            case "log_dirs" -> logDirs();
            case "features" -> features();
            case "configs" -> configs();
            case "partitions" -> partitions();
            case "unregister" -> unregister();
            default -> throw new IllegalArgumentException("unknown case " + what);
        }
    }

    void cluster() throws Exception {
        var cluster = admin.describeCluster();
        same("nodes", BROKERS, ids(get(cluster.nodes())));
        same("ports", 3, get(cluster.nodes()).stream().map(Node::port).distinct().toList().size());
        holds("controller", BROKERS.contains(get(cluster.controller()).id()));
        same("length of the cluster id", 22, get(cluster.clusterId()).length());
    }

    void topics() throws Exception {
        create(3);
        var described = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        same("partitions", 3, described.partitions().size());
        Set<Integer> leaders = new TreeSet<>();
        for (TopicPartitionInfo partition : described.partitions()) {
            leaders.add(partition.leader().id());
            same("replicas", BROKERS, ids(partition.replicas()));
            same("in sync", BROKERS, ids(partition.isr()));
            same("eligible", List.of(), partition.elr());
            same("preferred leader", partition.replicas().get(0), partition.leader());
        }
        same("leaders", BROKERS, leaders);
        holds("listed", get(admin.listTopics().names()).contains(topic));
        fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of("no-such")).allTopicNames());
    }

    /// Turns the order of the replicas around, so that another is preferred, and gives it leadership.
    void elect() throws Exception {
        create(1);
        List<Integer> turned = new ArrayList<>(replicas(first));
        Collections.reverse(turned);
        reassignTo(first, turned);
        same("elected", Map.of(first, Optional.empty()), get(admin.electLeaders(ElectionType.PREFERRED, Set.of(first)).partitions()));
        until("the preferred leads", () -> leader(first) == turned.get(0));
        for (ElectionType type : ElectionType.values()) {
            var again = get(admin.electLeaders(type, Set.of(first)).partitions()).get(first);
            holds(type + " again: " + again, again.get() instanceof ElectionNotNeededException);
        }
        var unknown = new TopicPartition(topic, 7);
        var refused = get(admin.electLeaders(ElectionType.PREFERRED, Set.of(unknown)).partitions()).get(unknown);
        holds("of no partition: " + refused, refused.get() instanceof UnknownTopicOrPartitionException);
        // Of all partitions: those that need none are not named.
        get(admin.electLeaders(ElectionType.PREFERRED, null).partitions());
    }

    /// Moves a partition with records from one broker to the two others.
    void reassign() throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, Map.of(0, List.of(1))))).all());
        produce();
        reassignTo(first, List.of(2, 3));
        until("both are in sync", () -> ids(describe().partitions().get(0).isr()).equals(Set.of(2, 3)));
        holds("a new one leads", leader(first) != 1);
        var end = get(admin.listOffsets(Map.of(first, org.apache.kafka.clients.admin.OffsetSpec.latest())).all());
        same("records", (long) RECORDS, end.get(first).offset());
        until("the old one's log is gone", () -> !sizes(1).containsKey(first));

        fails(NoReassignmentInProgressException.class, admin.alterPartitionReassignments(Map.of(first, Optional.empty())).all());
        var nobody = Optional.of(new NewPartitionReassignment(List.of(2, 99)));
        fails(InvalidReplicaAssignmentException.class, admin.alterPartitionReassignments(Map.of(first, nobody)).all());
        same("going on", Map.of(), get(admin.listPartitionReassignments(Set.of(first)).reassignments()));
    }

    void quorum() throws Exception {
        QuorumInfo quorum = get(admin.describeMetadataQuorum().quorumInfo());
        holds("leader", BROKERS.contains(quorum.leaderId()));
        holds("epoch", quorum.leaderEpoch() > 0);
        holds("high watermark", quorum.highWatermark() > 0);
        same("observers", List.of(), quorum.observers());
        same("voters", BROKERS, quorum.voters().stream().map(QuorumInfo.ReplicaState::replicaId).collect(Collectors.toSet()));
        for (QuorumInfo.ReplicaState voter : quorum.voters()) {
            holds(voter + " fetches", voter.logEndOffset() > 0 && voter.lastFetchTimestamp().orElse(0) > 0);
            holds(voter + " has caught up", voter.lastCaughtUpTimestamp().orElse(0) > 0);
        }
        same("nodes", BROKERS, quorum.nodes().keySet());
        same("controller", quorum.leaderId(), get(admin.describeCluster().controller()).id());
    }

    void logDirs() throws Exception {
        create(1);
        produce();
        for (int broker : BROKERS) {
            until("broker " + broker + " holds records", () -> sizes(broker).getOrDefault(first, 0L) > RECORDS);
        }
        var replicas = BROKERS.stream().map(broker -> new TopicPartitionReplica(topic, 0, broker)).toList();
        until("no replica is behind", () -> get(admin.describeReplicaLogDirs(replicas).all()).values().stream()
                .allMatch(at -> at.getCurrentReplicaLogDir() != null && at.getCurrentReplicaOffsetLag() == 0));
        for (var at : get(admin.describeReplicaLogDirs(replicas).all()).values()) {
            same("moving to", null, at.getFutureReplicaLogDir());
        }
    }

    void features() throws Exception {
        var features = get(admin.describeFeatures().featureMetadata());
        holds("finalized", features.finalizedFeatures().containsKey("metadata.version"));
        for (var feature : features.finalizedFeatures().entrySet()) {
            var supported = features.supportedFeatures().get(feature.getKey());
            if (supported != null) {
                short level = feature.getValue().maxVersionLevel();
                holds(feature + " is supported", supported.minVersion() <= level && level <= supported.maxVersion());
            }
        }
        holds("epoch", features.finalizedFeaturesEpoch().orElse(-1L) >= 0);
    }

    void configs() throws Exception {
        create(1);
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        alter(resource, SET, "retention.ms", "60000");
        alter(resource, APPEND, "cleanup.policy", "compact");
        until("both are changed", () -> config(resource).get("cleanup.policy").value().contains("compact"));
        Config now = config(resource);
        same("retention.ms", "60000", now.get("retention.ms").value());
        same("its source", ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, now.get("retention.ms").source());
        same("cleanup.policy", Set.of("delete", "compact"), Set.of(now.get("cleanup.policy").value().split(",")));
        alter(resource, DELETE, "retention.ms", null);
        until("it is a week again", () -> config(resource).get("retention.ms").value().equals("604800000"));
        for (int broker : BROKERS) {
            var one = config(new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(broker)));
            same("min.insync.replicas", "2", one.get("min.insync.replicas").value());
        }
        var all = new ConfigResource(ConfigResource.Type.BROKER, "");
        alter(all, SET, "log.retention.ms", "86400000");
        until("the topic follows the brokers", () -> config(resource).get("retention.ms").value().equals("86400000"));
        alter(all, DELETE, "log.retention.ms", null);
    }

    void partitions() throws Exception {
        create(1);
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        same("partitions", 3, describe().partitions().size());
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4, List.of(List.of(3, 1, 2))))).all());
        same("partitions", 4, describe().partitions().size());
        same("replicas", List.of(3, 1, 2), replicas(new TopicPartition(topic, 3)));
        fails(InvalidPartitionsException.class, admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all());
    }

    void unregister() throws Exception {
        fails(BrokerIdNotRegisteredException.class, admin.unregisterBroker(99).all());
        same("nodes", BROKERS, ids(get(admin.describeCluster().nodes())));
    }

    void create(int partitions) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 3))).all());
    }

    void produce() throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "acks", "all");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < RECORDS; number++) {
                producer.send(new ProducerRecord<>(topic, 0, null, "record " + number));
            }
        }
    }

    /// Asks for these replicas and waits until they are; what is told on the way must fit.
    void reassignTo(TopicPartition partition, List<Integer> replicas) throws Exception {
        List<Integer> before = replicas(partition);
        var target = Optional.of(new NewPartitionReassignment(replicas));
        get(admin.alterPartitionReassignments(Map.of(partition, target)).all());
        until(partition + " has moved", () -> {
            PartitionReassignment going = get(admin.listPartitionReassignments().reassignments()).get(partition);
            if (going != null) {
                holds("comes: " + going, replicas.containsAll(going.addingReplicas()));
                holds("goes: " + going, before.containsAll(going.removingReplicas()));
            }
            return going == null && replicas(partition).equals(replicas);
        });
    }

    TopicDescription describe() throws Exception {
        return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    }

    List<Integer> replicas(TopicPartition partition) throws Exception {
        return describe().partitions().get(partition.partition()).replicas().stream().map(Node::id).toList();
    }

    int leader(TopicPartition partition) throws Exception {
        return describe().partitions().get(partition.partition()).leader().id();
    }

    /// How many bytes a broker holds of each partition.
    Map<TopicPartition, Long> sizes(int broker) throws Exception {
        Map<TopicPartition, Long> sizes = new HashMap<>();
        for (var dir : get(admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker).values()) {
            same("error of a directory", null, dir.error());
            dir.replicaInfos().forEach((partition, info) -> sizes.put(partition, info.size()));
        }
        return sizes;
    }

    void alter(ConfigResource resource, AlterConfigOp.OpType type, String name, String value) throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(name, value), type);
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all());
    }

    Config config(ConfigResource resource) throws Exception {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    static Set<Integer> ids(Collection<Node> nodes) {
        return nodes.stream().map(Node::id).collect(Collectors.toSet());
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    interface Probe {
        boolean holds() throws Exception;
    }

    static void until(String what, Probe probe) throws Exception {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (!probe.holds()) {
            holds(what, System.nanoTime() < deadline);
            Thread.sleep(20);
        }
    }

    static void holds(String what, boolean holds) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }

    static void same(String what, Object wanted, Object found) {
        holds(what + " is " + found + ", should be " + wanted, Objects.equals(wanted, found));
    }

    static void fails(Class<? extends Exception> wanted, KafkaFuture<?> future) throws Exception {
        try {
            get(future);
        } catch (ExecutionException error) {
            same("the failure", wanted, error.getCause().getClass());
            return;
        }
        holds(wanted + " is thrown", false);
    }
}
