// Apache Kafka's own Java client. Speaks the line protocol of ../README.md.

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Driver {
    static final HexFormat HEX = HexFormat.of();

    static byte[] unhex(String text) {
        return text.equals("-") ? null : HEX.parseHex(text);
    }

    static String toHex(byte[] value) {
        return value == null ? "-" : HEX.formatHex(value);
    }

    static void create(String bootstrap, String topic, int partitions, short replicas) throws Exception {
        try (var admin = org.apache.kafka.clients.admin.Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, replicas))).all().get(20, TimeUnit.SECONDS);
        }
    }

    static void produce(String bootstrap, String topic, String codec, boolean idempotent, String path)
            throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("compression.type", codec);
        settings.put("enable.idempotence", String.valueOf(idempotent));
        settings.put("acks", idempotent ? "all" : "1");
        settings.put("linger.ms", "20");
        settings.put("max.request.size", String.valueOf(4 << 20));
        settings.put("delivery.timeout.ms", "40000");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line : Files.readAllLines(Path.of(path))) {
                String[] words = line.split("\t", -1);
                Long when = words[0].equals("-") ? null : Long.valueOf(words[0]);
                var record = new ProducerRecord<byte[], byte[]>(topic, null, when, unhex(words[1]), unhex(words[2]));
                for (String pair : words[3].split(",")) {
                    if (!pair.isEmpty()) {
                        String[] parts = pair.split(":", -1);
                        String name = new String(HEX.parseHex(parts[0]), StandardCharsets.UTF_8);
                        record.headers().add(name, unhex(parts[1]));
                    }
                }
                sent.add(producer.send(record));
            }
            producer.flush();
            for (Future<RecordMetadata> one : sent) {
                one.get(1, TimeUnit.SECONDS);
            }
        }
    }

    static long startOf(KafkaConsumer<byte[], byte[]> consumer, TopicPartition place, String start, long end) {
        if (start.equals("earliest")) {
            return consumer.beginningOffsets(List.of(place)).get(place);
        }
        if (!start.startsWith("@")) {
            return Long.parseLong(start);
        }
        var found = consumer.offsetsForTimes(Map.of(place, Long.parseLong(start.substring(1)))).get(place);
        return found == null ? end : found.offset();
    }

    static void read(String bootstrap, String topic, int[] partitions, String start, int limit, Writer out)
            throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("fetch.max.wait.ms", "10");
        settings.put("max.poll.records", "5000");
        settings.put("check.crcs", "true");
        try (var consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> places = new ArrayList<>();
            for (int partition : partitions) {
                places.add(new TopicPartition(topic, partition));
            }
            consumer.assign(places);
            Map<TopicPartition, Long> left = new HashMap<>(consumer.endOffsets(places));
            for (TopicPartition place : places) {
                long offset = startOf(consumer, place, start, left.get(place));
                consumer.seek(place, offset);
                if (offset >= left.get(place)) {
                    left.remove(place);
                }
            }
            int count = 0;
            long deadline = System.nanoTime() + 40_000_000_000L;
            while (!left.isEmpty() && (limit == 0 || count < limit)) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("read " + count + " records, still waiting for " + left);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (limit > 0 && count >= limit) {
                        break;
                    }
                    write(out, record);
                    count++;
                    TopicPartition place = new TopicPartition(topic, record.partition());
                    if (record.offset() + 1 >= left.getOrDefault(place, 0L)) {
                        left.remove(place);
                    }
                }
            }
        }
    }

    static void write(Writer out, ConsumerRecord<byte[], byte[]> record) throws Exception {
        List<String> headers = new ArrayList<>();
        for (Header header : record.headers()) {
            headers.add(toHex(header.key().getBytes(StandardCharsets.UTF_8)) + ":" + toHex(header.value()));
        }
        out.write(record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t"
                + toHex(record.key()) + "\t" + toHex(record.value()) + "\t" + String.join(",", headers) + "\n");
    }

    static void answer(String[] words) throws Exception {
        switch (words[0]) {
            case "create" -> create(words[1], words[2], Integer.parseInt(words[3]), Short.parseShort(words[4]));
            case "produce" -> produce(words[1], words[2], words[3], words[4].equals("1"), words[5]);
            case "read" -> {
                int[] partitions = Arrays.stream(words[3].split(",")).mapToInt(Integer::parseInt).toArray();
                try (BufferedWriter out = Files.newBufferedWriter(Path.of(words[6]))) {
                    read(words[1], words[2], partitions, words[4], Integer.parseInt(words[5]), out);
                }
            }
            case "admin" -> {
                try (Admin admin = new Admin(words[1], words[2])) {
                    admin.run(words[3]);
                }
            }
            default -> throw new IllegalArgumentException("unknown verb " + words[0]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            try {
                answer(line.split("\t", -1));
                System.out.println("ok");
            } catch (Exception error) {
                System.out.println(("error " + error).replace('\n', ' '));
            }
            System.out.flush();
        }
    }
}
