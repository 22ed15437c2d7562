/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a topic as a Java program does: Kafka's own consumer, Avro's own reader, schemas from the registry. Nothing of ours is used.
 *
 * usage: ReadTopic BROKER REGISTRY_URL TOPIC COUNT      one line a message: a JSON list of key and value
 *
 * Values are what Avro calls generic: numbers, text, and bytes as hex digits; what a logical type makes of them is left to who compares.
 */
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;

import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class ReadTopic {
    private static final ObjectMapper json = new ObjectMapper();
    private static final Map<Integer, Schema> schemas = new HashMap<>();
    private static String url;

    private static Schema schema(int id) throws Exception {
        if (!schemas.containsKey(id)) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/schemas/ids/" + id)).build();
            String answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
            schemas.put(id, new Schema.Parser().parse(json.readTree(answer).get("schema").asText()));
        }
        return schemas.get(id);
    }

    private static Object plain(Object value) {
        if (value instanceof ByteBuffer bytes) {
            StringBuilder hex = new StringBuilder();
            while (bytes.hasRemaining()) {
                hex.append(String.format("%02x", bytes.get()));
            }
            return hex.toString();
        }
        return value == null || value instanceof Number || value instanceof Boolean ? value : value.toString();
    }

    private static Map<String, Object> decode(byte[] data) throws Exception {
        if (data == null) {
            return null;
        }
        ByteBuffer frame = ByteBuffer.wrap(data);
        if (frame.get() != 0) {
            throw new IllegalStateException("no frame of a registry");
        }
        Schema schema = schema(frame.getInt());
        GenericRecord record = new GenericDatumReader<GenericRecord>(schema)
                .read(null, DecoderFactory.get().binaryDecoder(data, frame.position(), frame.remaining(), null));
        Map<String, Object> fields = new HashMap<>();
        for (Schema.Field field : schema.getFields()) {
            fields.put(field.name(), plain(record.get(field.pos())));
        }
        return fields;
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("group.id", UUID.randomUUID().toString());
        properties.put("auto.offset.reset", "earliest");
        properties.put("isolation.level", "read_committed");
        url = arguments[1];
        int left = Integer.parseInt(arguments[3]);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(arguments[2]));
            while (left > 0) {
                for (ConsumerRecord<byte[], byte[]> message : consumer.poll(Duration.ofSeconds(5))) {
                    Object[] pair = {decode(message.key()), decode(message.value())};
                    System.out.println(json.writeValueAsString(pair));
                    left--;
                }
            }
        }
    }
}
