// A member of a consumer group by Apache Kafka's own Java client. See ../README.md.

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Member {
    static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
            "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    static void say(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) {
            line.append(line.isEmpty() ? "" : " ").append(word);
        }
        System.out.println(line);
        System.out.flush();
    }

    static void listen(AtomicBoolean closing) {
        Thread listener = new Thread(() -> {
            try {
                if (System.in.read() < 0) {
                    Runtime.getRuntime().halt(1);
                }
                closing.set(true);
            } catch (java.io.IOException error) {
                Runtime.getRuntime().halt(1);
            }
        });
        listener.setDaemon(true);
        listener.start();
    }

    public static void main(String[] words) {
        String topic = words[1];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        settings.put("group.id", words[2]);
        settings.put("client.id", words[3]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("fetch.max.wait.ms", "50");
        if (words[4].equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            settings.put("partition.assignment.strategy", ASSIGNORS.get(words[4]));
            settings.put("session.timeout.ms", "6000");
            settings.put("heartbeat.interval.ms", "500");
        }
        if (!words[5].equals("-")) {
            settings.put("group.instance.id", words[5]);
        }
        AtomicBoolean closing = new AtomicBoolean();
        listen(closing);
        TreeSet<Integer> owned = new TreeSet<>();
        // Where commits stand that were refused: a rebalance may refuse the last one of a partition.
        TreeMap<Integer, Long> uncommitted = new TreeMap<>();
        try (var consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                void tell() {
                    say("owns", owned.stream().map(String::valueOf).collect(Collectors.joining(",")));
                }

                public void onPartitionsAssigned(Collection<TopicPartition> places) {
                    places.forEach(place -> owned.add(place.partition()));
                    tell();
                }

                public void onPartitionsRevoked(Collection<TopicPartition> places) {
                    places.forEach(place -> {
                        owned.remove(place.partition());
                        uncommitted.remove(place.partition());
                    });
                    tell();
                }
            });
            while (!closing.get()) {
                var records = consumer.poll(Duration.ofMillis(100));
                for (TopicPartition place : records.partitions()) {
                    var of = records.records(place);
                    of.forEach(record -> say("got", record.partition(), record.offset()));
                    uncommitted.put(place.partition(), of.get(of.size() - 1).offset() + 1);
                }
                for (var commit : List.copyOf(uncommitted.entrySet())) {
                    try {
                        var place = new TopicPartition(topic, commit.getKey());
                        consumer.commitSync(Map.of(place, new OffsetAndMetadata(commit.getValue())));
                        say("done", commit.getKey(), commit.getValue());
                        uncommitted.remove(commit.getKey());
                    } catch (Exception error) {
                        say("not-done", commit.getKey(), commit.getValue(), error);
                    }
                }
            }
        }
        say("closed");
    }
}
