import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/**
 * Runs one OpenSearch node from the jars on the class path: NodeLauncher HOME [setting=value ...].
 *
 * Modules are read from HOME/modules, each in a class loader of its own, as in the distribution: so painless's extensions
 * are found. What the distribution's bootstrap adds (security manager, seccomp, keystore) is left out.
 */
public final class NodeLauncher {
    private NodeLauncher() {}

    public static void main(String[] args) {
        try {
            start(args);
        } catch (Throwable failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1); // threads of a node that is half built would keep the process alive
        }
    }

    private static void start(String[] args) throws Exception {
        LogConfigurator.registerErrorListener(); // before any class of the server asks for a logger
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings(args), Map.of(), null, () -> "node-1");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment);
        Node node = new Node(environment);
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "node-shutdown"));
        node.start();
        closed.await(); // the node's own threads are daemons
    }

    private static Settings settings(String[] args) {
        Settings.Builder settings = Settings.builder().put("path.home", args[0]);
        for (int i = 1; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        return settings.build();
    }

    private static void close(Node node, CountDownLatch closed) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        } finally {
            closed.countDown();
        }
    }
}
