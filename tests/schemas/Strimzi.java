// Prints the JSON schemas of Strimzi's resources from Strimzi's own model classes, which are what its
// operator reads. Run by make.py with the jars of io.strimzi:api on the class path.

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.BeanPropertyDefinition;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.TreeSet;

public class Strimzi {
    static final ObjectMapper JSON = new ObjectMapper();
    static final ObjectNode DEFINITIONS = JSON.createObjectNode();

    public static void main(String[] names) throws Exception {
        ObjectNode kinds = JSON.createObjectNode();
        for (String name : names) {
            Class<?> kind = Class.forName(name);
            ObjectNode schema = kinds.putObject(kind.getSimpleName());
            schema.put("type", "object").put("additionalProperties", false);
            ObjectNode properties = schema.putObject("properties");
            properties.putObject("apiVersion").put("const", "kafka.strimzi.io/v1");
            properties.putObject("kind").put("const", kind.getSimpleName());
            properties.putObject("metadata").put("type", "object");
            for (BeanPropertyDefinition held : beans(kind)) {
                if (held.getName().equals("spec")) {
                    properties.set("spec", schema(held.getPrimaryType()));
                }
            }
            schema.putArray("required").add("apiVersion").add("kind").add("metadata").add("spec");
        }
        ObjectNode all = JSON.createObjectNode();
        all.set("kinds", kinds);
        all.set("definitions", DEFINITIONS);
        System.out.println(JSON.writeValueAsString(all));
    }

    static Iterable<BeanPropertyDefinition> beans(Class<?> raw) {
        return JSON.getSerializationConfig().introspect(JSON.constructType(raw)).findProperties();
    }

    static ObjectNode schema(JavaType type) throws Exception {
        ObjectNode made = JSON.createObjectNode();
        Class<?> raw = type.getRawClass();
        if (type.isCollectionLikeType() || type.isArrayType()) {
            made.put("type", "array").set("items", schema(type.getContentType()));
        } else if (type.isMapLikeType()) {
            made.put("type", "object").set("additionalProperties", schema(type.getContentType()));
        } else if (raw == String.class) {
            made.put("type", "string");
        } else if (raw == boolean.class || raw == Boolean.class) {
            made.put("type", "boolean");
        } else if (raw == int.class || raw == Integer.class || raw == long.class || raw == Long.class) {
            made.put("type", "integer");
        } else if (raw == double.class || raw == Double.class || raw == float.class || raw == Float.class) {
            made.put("type", "number");
        } else if (raw.isEnum()) {
            TreeSet<String> values = new TreeSet<>();
            for (Object value : raw.getEnumConstants()) {
                values.add(JSON.valueToTree(value).asText());
            }
            values.forEach(made.withArray("enum")::add);
        } else if (raw.getSimpleName().equals("Quantity") || raw.getSimpleName().equals("IntOrString")) {
            made.putArray("type").add("string").add("integer");
        } else if (raw != Object.class && !raw.getName().startsWith("com.fasterxml.")
                && !raw.getName().startsWith("java.")) {
            made.put("$ref", "#/definitions/" + raw.getName());
            if (!DEFINITIONS.has(raw.getName())) {
                define(raw);
            }
        }
        return made;
    }

    static void define(Class<?> raw) throws Exception {
        ObjectNode made = DEFINITIONS.putObject(raw.getName());
        made.put("type", "object").put("additionalProperties", false);
        ObjectNode properties = made.putObject("properties");
        add(raw, properties);
        // As in Strimzi's custom resource definitions: one object with the fields of all its kinds.
        JsonSubTypes kinds = raw.getAnnotation(JsonSubTypes.class);
        if (kinds != null) {
            TreeSet<String> names = new TreeSet<>();
            for (JsonSubTypes.Type kind : kinds.value()) {
                names.add(kind.name());
                add(kind.value(), properties);
            }
            ObjectNode type = properties.putObject("type");
            names.forEach(type.withArray("enum")::add);
        }
    }

    static void add(Class<?> raw, ObjectNode properties) throws Exception {
        for (BeanPropertyDefinition held : beans(raw)) {
            if (!properties.has(held.getName())) {
                properties.set(held.getName(), schema(held.getPrimaryType()));
            }
        }
    }
}
